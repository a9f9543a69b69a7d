"""An answer in OpenAI's shape: whole, or as the chunks of a stream, each a server-sent event."""

from functions.gpu.engine import FinishReason
from penstock.clock import SECOND
from penstock.ledger import Lease, Usage
from penstock.schemas import (
    ChatCompletion,
    ChatCompletionChunk,
    Choice,
    ChoiceDelta,
    ChunkChoice,
    CompletionUsage,
    ResponseMessage,
)
from penstock.schemas.completion import DONE, event


class Answer:
    """The answer to the lease's request. With `include_usage` every chunk has the field, as at OpenAI."""

    def __init__(self, lease: Lease, now: int, *, include_usage: bool = False) -> None:
        self._id = f"chatcmpl-{lease.id.removeprefix('req_')}"
        self._created = now // SECOND
        self._model = lease.model
        self._include_usage = include_usage

    def role(self) -> bytes:
        """The first chunk."""
        return self._chunk(ChoiceDelta(role="assistant", content="", refusal=None))

    def text(self, text: str) -> bytes:
        """A chunk of text."""
        return self._chunk(ChoiceDelta(content=text))

    def ending(self, reason: FinishReason, usage: Usage) -> bytes:
        """What ends a stream: why it ended, the usage where it was asked for, and `[DONE]`."""
        chunks = self._chunk(ChoiceDelta(), reason)
        if self._include_usage:
            chunks += self._event([], _on_the_wire(usage))
        return chunks + DONE

    def whole(self, text: str, reason: FinishReason, usage: Usage) -> bytes:
        """The body of an answer that does not stream."""
        message = ResponseMessage(role="assistant", content=text, refusal=None)
        choice = Choice(index=0, message=message, logprobs=None, finish_reason=reason.value)
        return ChatCompletion(
            id=self._id,
            object="chat.completion",
            created=self._created,
            model=self._model,
            choices=[choice],
            usage=_on_the_wire(usage),
        ).wire()

    def _chunk(self, delta: ChoiceDelta, reason: FinishReason | None = None) -> bytes:
        finish = None if reason is None else reason.value
        return self._event([ChunkChoice(index=0, delta=delta, logprobs=None, finish_reason=finish)])

    def _event(self, choices: list[ChunkChoice], usage: CompletionUsage | None = None) -> bytes:
        chunk = ChatCompletionChunk(
            id=self._id,
            object="chat.completion.chunk",
            created=self._created,
            model=self._model,
            choices=choices,
            **({"usage": usage} if self._include_usage else {}),
        )
        return event(chunk.wire())


def _on_the_wire(usage: Usage) -> CompletionUsage:
    return CompletionUsage.of(usage.prompt_tokens, usage.cached_prompt_tokens, usage.completion_tokens)
