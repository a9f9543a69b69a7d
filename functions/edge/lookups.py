"""Look-ups that are remembered for a while: of keys, and of the switch over everybody.

What is remembered is at most `keep_s` old, counted from before it was asked for. So a key that is revoked
opens nothing any more after that time; and nothing that spends even before, since the ledger's `reserve`
refuses it by itself. That nothing was found is remembered as well. Look-ups of the same at the same time
are one. A failure is not remembered, and what is fresh is told without the store.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Generic, TypeVar

T = TypeVar("T")


class Lookups(Generic[T]):
    """The latest answers of `read`, by name; of at most `most` names, the longest unused forgotten first."""

    def __init__(self, read: Callable[[str], Awaitable[T]], *, keep_s: float, most: int) -> None:
        self._read = read
        self._keep_s = keep_s
        self._most = most
        self._known: OrderedDict[str, tuple[float, T]] = OrderedDict()
        self._reading: dict[str, asyncio.Task[T]] = {}

    async def get(self, name: str) -> T:
        """The answer: a fresh one that is known, or the store's. Raises what `read` raises."""
        if self._fresh(name):
            self._known.move_to_end(name)
            return self._known[name][1]
        reading = self._reading.get(name)
        if reading is None:
            reading = self._reading[name] = asyncio.create_task(self._look(name))
            reading.add_done_callback(_heard)
        # Of those who wait for it, one may be cancelled: not for the others.
        return await asyncio.shield(reading)

    def costs(self, name: str) -> bool:
        """Whether `get` would ask the store once more."""
        return name not in self._reading and not self._fresh(name)

    def last(self, name: str) -> T | None:
        """The latest answer, however old; None where there is none."""
        known = self._known.get(name)
        return None if known is None else known[1]

    def forget(self, name: str) -> None:
        """Ask the store at the next `get`; also where a look-up is under way, which may have missed a change."""
        self._known.pop(name, None)
        self._reading.pop(name, None)

    def clear(self) -> None:
        """Forget all."""
        self._known.clear()
        self._reading.clear()

    def _fresh(self, name: str) -> bool:
        known = self._known.get(name)
        return known is not None and monotonic() - known[0] < self._keep_s

    async def _look(self, name: str) -> T:
        asked_at, reading = monotonic(), asyncio.current_task()
        try:
            found = await self._read(name)
        except BaseException:
            self._end(name, reading)
            raise
        if self._end(name, reading):
            self._remember(name, asked_at, found)
        return found

    def _end(self, name: str, reading: "asyncio.Task[T] | None") -> bool:
        """Whether the look-up was still the one that counts."""
        if self._reading.get(name) is not reading:
            return False
        del self._reading[name]
        return True

    def _remember(self, name: str, asked_at: float, found: T) -> None:
        self._known[name] = (asked_at, found)
        self._known.move_to_end(name)
        if len(self._known) > self._most:
            self._known.popitem(last=False)


def _heard(reading: "asyncio.Task[T]") -> None:
    """Take note of a failure that all who waited for have left."""
    if not reading.cancelled():
        reading.exception()
