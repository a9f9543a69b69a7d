"""The backlog: settlements that did not get through at once, tried again until they do.

While nothing gets through, one is tried at a time, with growing pauses: a ledger that is away, or that is
coming back, is not stormed. As soon as one gets through the rest follow, the oldest first, `AT_ONCE` at a
time. One that fails goes behind the others, so that it holds nobody up.

It knows neither the ledger nor the disk: `book` says whether a settlement is done with.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from itertools import islice

from functions.gpu.settlement import Settlement

AT_ONCE = 16
FIRST_PAUSE_S, LAST_PAUSE_S = 0.1, 15.0


class Backlog:
    """What waits to be booked. Holds each settlement once."""

    def __init__(self, book: Callable[[Settlement], Awaitable[bool]]) -> None:
        self._book = book
        self._waiting: dict[Settlement, asyncio.Event] = {}  # in the order of their next try
        self._flushing: asyncio.Task[None] | None = None  # while anything waits
        self._woken = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Settlement]:
        return iter(list(self._waiting))

    def add(self, settlement: Settlement) -> asyncio.Event:
        """Have the settlement tried until it is done with, which the event then says."""
        taken = self._waiting.setdefault(settlement, asyncio.Event())
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush())
        return taken

    def wake(self) -> None:
        """Try now: there is a reason to think that the ledger answers, or no time to lose."""
        if self._waiting:
            self._woken.set()

    async def flushed(self) -> None:
        """Wait until nothing is left."""
        while self._waiting and self._flushing is not None and not self._flushing.done():
            await asyncio.wait({self._flushing})

    async def close(self) -> None:
        """Try no more. What is left is still there to be looked at."""
        if self._flushing is not None:
            self._flushing.cancel()
            await asyncio.wait({self._flushing})

    async def _flush(self) -> None:
        pauses = _pauses()
        through = False
        while self._waiting:
            if not through and await self._paused(next(pauses)):
                pauses = _pauses()
            through = await self._try(AT_ONCE if through else 1)
            if through:
                pauses = _pauses()

    async def _try(self, count: int) -> bool:
        """Try the first ones; whether any got through."""
        batch = list(islice(self._waiting, count))
        results = await asyncio.gather(*map(self._book, batch))
        for settlement, done in zip(batch, results, strict=True):
            taken = self._waiting.pop(settlement)
            if done:
                taken.set()
            else:
                self._waiting[settlement] = taken
        return any(results)

    async def _paused(self, seconds: float) -> bool:
        """Wait; whether somebody ended the pause before its time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        woken = self._woken.is_set()
        self._woken.clear()
        return woken


def _pauses() -> Iterator[float]:
    """Doubling pauses with jitter, so that many processes do not come back at the same moment."""
    pause = FIRST_PAUSE_S
    while True:
        yield pause * random.uniform(0.5, 1.0)
        pause = min(2 * pause, LAST_PAUSE_S)
