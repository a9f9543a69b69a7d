"""What a request asks of the engine: its prompts in tokens, what is done with them, and the true bound of its use."""

from array import array
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from functions.gpu.engine import Engine, Event, Prefilled, Sampling
from penstock.ledger import Bound


@dataclass(frozen=True, slots=True)
class Embedded:
    """The embedding of one text: the last event of its prompt."""

    index: int  # its place in the request
    vector: "array[float]"


Happening = Event | Embedded


class Work(Protocol):
    """A request that fits the context and its lease."""

    @property
    def bound(self) -> Bound:
        """The most that it can use."""

    @property
    def results(self) -> int:
        """How many events are a last one: of a choice, or of a text to embed."""

    def events(self, engine: Engine, owner: str) -> AsyncGenerator[Happening, None]:
        """Have the engine do it. Each prompt's Prefilled says that it was read; raises what the engine raises."""


@dataclass(frozen=True, slots=True)
class Writing:
    """Choices to one prompt or to several."""

    prompts: Sequence[Sequence[int]]
    sampling: Sampling
    bound: Bound

    @property
    def results(self) -> int:
        return len(self.prompts) * self.sampling.n

    async def events(self, engine: Engine, owner: str) -> AsyncGenerator[Happening, None]:
        async with aclosing(engine.generate(self.prompts, self.sampling, owner=owner)) as events:
            async for event in events:
                yield event


@dataclass(frozen=True, slots=True)
class Embedding:
    """Embeddings of texts, which are read and of which nothing is written."""

    prompts: Sequence[Sequence[int]]
    dimensions: int | None
    bound: Bound

    @property
    def results(self) -> int:
        return len(self.prompts)

    async def events(self, engine: Engine, owner: str) -> AsyncGenerator[Happening, None]:
        vectors = await engine.embed(self.prompts, dimensions=self.dimensions, owner=owner)
        for index, (prompt, vector) in enumerate(zip(self.prompts, vectors, strict=True)):
            yield Prefilled(index, len(prompt), 0)
            yield Embedded(index, vector)
