"""A plain completion's answer in OpenAI's shape: whole, or as the chunks of a stream, each a server-sent event."""

from collections.abc import Iterator, Sequence

from functions.gpu.answer import WrittenAnswer
from functions.gpu.engine import Delta, Finished, FinishReason, Prefilled, TokenLogprobs
from functions.gpu.logprobs import Offsets, completion_logprobs, joined, offsets_in
from functions.gpu.work import Happening
from penstock.ledger import Lease
from penstock.schemas import Completion, CompletionChoice, CompletionRequest, CompletionUsage


class CompletionAnswer(WrittenAnswer[CompletionChoice]):
    """The answer to the lease's request. `echoes` are the prompts' texts, where choices begin with them."""

    kind = "cmpl"

    def __init__(self, lease: Lease, now: int, request: CompletionRequest, echoes: Sequence[str] = ()) -> None:
        super().__init__(lease, now, request)
        self._with_logprobs = request.logprobs is not None
        self._echoes = echoes
        self._offsets: dict[int, Offsets] = {}  # of each choice's next token

    def _parts(self, event: Happening) -> Iterator[CompletionChoice]:
        if isinstance(event, Prefilled) and self._echoes:
            yield from self._echo(self._echoes[event.prompt], event)
        elif isinstance(event, Delta) and (event.text or event.logprobs):
            offsets = self._offsets.setdefault(event.index, Offsets())
            yield _part(event.index, event.text, event.logprobs, offsets)
        elif isinstance(event, Finished):
            yield _part(event.index, reason=event.reason)

    def _echo(self, text: str, event: Prefilled) -> Iterator[CompletionChoice]:
        for index in range(event.prompt * self.n, (event.prompt + 1) * self.n):
            self._offsets[index] = Offsets(len(text))
            yield _part(index, text, event.logprobs, offsets_in(text, event.logprobs))

    def _chunk(self, parts: list[CompletionChoice], usage: dict[str, CompletionUsage | None]) -> Completion:
        return Completion(
            id=self.id,
            object="text_completion",
            created=self.created,
            model=self.model,
            choices=parts,
            **usage,
        )

    def _whole(self, choices: Sequence[Sequence[CompletionChoice]], usage: CompletionUsage) -> Completion:
        return self._chunk([self._choice(parts) for parts in choices], {"usage": usage})

    def _choice(self, parts: Sequence[CompletionChoice]) -> CompletionChoice:
        logprobs = [part.logprobs for part in parts if part.logprobs is not None]
        return CompletionChoice(
            index=parts[-1].index,
            text="".join(part.text for part in parts),
            logprobs=joined(logprobs) if self._with_logprobs else None,
            finish_reason=parts[-1].finish_reason,
        )


def _part(
    index: int,
    text: str = "",
    logprobs: Sequence[TokenLogprobs] = (),
    offsets: Offsets | None = None,
    reason: FinishReason | None = None,
) -> CompletionChoice:
    return CompletionChoice(
        index=index,
        text=text,
        logprobs=completion_logprobs(logprobs, offsets or Offsets()) if logprobs else None,
        finish_reason=None if reason is None else reason.value,
    )
