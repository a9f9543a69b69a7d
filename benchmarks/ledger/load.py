"""The load: clients that do the same at once, again and again, and how long each time took each of them."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from benchmarks.spread import percentile

T = TypeVar("T")


@dataclass(slots=True)
class Taken:
    """What took how long: each piece of work, and all of it together."""

    seconds: list[float] = field(default_factory=list)
    whole: float = 0.0

    @property
    def per_second(self) -> float:
        """Pieces of work in a second, of all clients together."""
        return len(self.seconds) / self.whole

    def ms(self, percent: float) -> float:
        """The time that so many of the pieces of work did not exceed."""
        return percentile(self.seconds, percent) * 1_000

    async def add(self, works: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
        """Do all of the work at once; what came of each."""
        begun = time.perf_counter()
        outcomes = await asyncio.gather(*map(self._timed, works))
        self.whole += time.perf_counter() - begun
        return outcomes

    async def _timed(self, work: Callable[[], Awaitable[T]]) -> T:
        begun = time.perf_counter()
        outcome = await work()
        self.seconds.append(time.perf_counter() - begun)
        return outcome
