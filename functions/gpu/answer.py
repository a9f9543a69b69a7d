"""What the answers of the routes that write have in common: an id, choices, a stream's end, the usage."""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Generic, Protocol, TypeVar

from functions.gpu.work import Happening
from penstock.clock import SECOND
from penstock.ledger import Lease, Usage
from penstock.schemas import CompletionUsage
from penstock.schemas.completion import DONE, event
from penstock.schemas.sampling import Sampled
from penstock.schemas.wire import Wire


class Part(Protocol):
    """What a chunk adds to one choice."""

    @property
    def index(self) -> int:
        """The choice's."""


P = TypeVar("P", bound=Part)


class WrittenAnswer(ABC, Generic[P]):
    """The answer to the lease's request, of parts P. With `include_usage` every chunk has the field, as at OpenAI."""

    kind: str  # what ids begin with

    def __init__(self, lease: Lease, now: int, request: Sampled) -> None:
        self.id = f"{self.kind}-{lease.id.removeprefix('req_')}"
        self.created = now // SECOND
        self.model = lease.model
        self.n = request.choices
        self._include_usage = request.include_usage
        self._choices: defaultdict[int, list[P]] = defaultdict(list)  # their parts, towards a whole answer

    def chunks(self, event: Happening) -> bytes:
        """What is said of an event, as server-sent events; nothing where it brings nothing to say."""
        return b"".join(self._event([part]) for part in self._parts(event))

    def ending(self, usage: Usage) -> bytes:
        """What ends a stream: the usage where it was asked for, and `[DONE]`."""
        return (self._event([], _on_the_wire(usage)) if self._include_usage else b"") + DONE

    def add(self, event: Happening) -> None:
        """Take an event into a whole answer."""
        for part in self._parts(event):
            self._choices[part.index].append(part)

    def whole(self, usage: Usage) -> bytes:
        """The body of an answer that does not stream, after the last event."""
        choices = [parts for _, parts in sorted(self._choices.items())]
        return self._whole(choices, _on_the_wire(usage)).wire()

    @abstractmethod
    def _parts(self, event: Happening) -> Iterable[P]:
        """What an event adds to choices."""

    @abstractmethod
    def _chunk(self, parts: list[P], usage: dict[str, CompletionUsage | None]) -> Wire:
        """A chunk of these parts; `usage` is the field, where a chunk has one."""

    @abstractmethod
    def _whole(self, choices: Sequence[Sequence[P]], usage: CompletionUsage) -> Wire:
        """The whole of these choices, each given as its parts."""

    def _event(self, parts: list[P], usage: CompletionUsage | None = None) -> bytes:
        return event(self._chunk(parts, {"usage": usage} if self._include_usage else {}).wire())


def _on_the_wire(usage: Usage) -> CompletionUsage:
    return CompletionUsage.of(usage.prompt_tokens, usage.cached_prompt_tokens, usage.completion_tokens)
