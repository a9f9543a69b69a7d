"""A chat completion's answer in OpenAI's shape: whole, or as the chunks of a stream, each a server-sent event."""

from collections.abc import Iterator, Sequence

from functions.gpu.answer import WrittenAnswer
from functions.gpu.engine import Delta, Finished, FinishReason, TokenLogprobs
from functions.gpu.logprobs import chat_logprobs
from functions.gpu.work import Happening
from penstock.ledger import Lease
from penstock.schemas import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatRequest,
    Choice,
    ChoiceDelta,
    ChoiceLogprobs,
    ChunkChoice,
    CompletionUsage,
    ResponseMessage,
)


class ChatAnswer(WrittenAnswer[ChunkChoice]):
    """The answer to the lease's request. Each choice says its role first, with its first token."""

    kind = "chatcmpl"

    def __init__(self, lease: Lease, now: int, request: ChatRequest) -> None:
        super().__init__(lease, now, request)
        self._with_logprobs = bool(request.logprobs)
        self._begun: set[int] = set()  # choices

    def _parts(self, event: Happening) -> Iterator[ChunkChoice]:
        if isinstance(event, Delta) and (event.text or event.logprobs):
            yield from self._role(event.index)
            yield _part(event.index, ChoiceDelta(content=event.text), event.logprobs)
        elif isinstance(event, Finished):
            yield from self._role(event.index)
            yield _part(event.index, ChoiceDelta(), reason=event.reason)

    def _role(self, index: int) -> Iterator[ChunkChoice]:
        if index not in self._begun:
            self._begun.add(index)
            yield _part(index, ChoiceDelta(role="assistant", content="", refusal=None))

    def _chunk(self, parts: list[ChunkChoice], usage: dict[str, CompletionUsage | None]) -> ChatCompletionChunk:
        return ChatCompletionChunk(
            id=self.id,
            object="chat.completion.chunk",
            created=self.created,
            model=self.model,
            choices=parts,
            **usage,
        )

    def _whole(self, choices: Sequence[Sequence[ChunkChoice]], usage: CompletionUsage) -> ChatCompletion:
        return ChatCompletion(
            id=self.id,
            object="chat.completion",
            created=self.created,
            model=self.model,
            choices=[self._choice(parts) for parts in choices],
            usage=usage,
        )

    def _choice(self, parts: Sequence[ChunkChoice]) -> Choice:
        tokens = [token for part in parts if part.logprobs is not None for token in part.logprobs.content]
        text = "".join(part.delta.content or "" for part in parts)
        return Choice(
            index=parts[-1].index,
            message=ResponseMessage(role="assistant", content=text, refusal=None),
            logprobs=ChoiceLogprobs(content=tokens, refusal=None) if self._with_logprobs else None,
            finish_reason=parts[-1].finish_reason or "stop",
        )


def _part(
    index: int, delta: ChoiceDelta, logprobs: Sequence[TokenLogprobs] = (), reason: FinishReason | None = None
) -> ChunkChoice:
    return ChunkChoice(
        index=index,
        delta=delta,
        logprobs=chat_logprobs(logprobs) if logprobs else None,
        finish_reason=None if reason is None else reason.value,
    )
