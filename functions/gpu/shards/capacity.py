"""How many lines one process has under way, of all its shards: enough that its engine never waits for the next one."""

import asyncio

from penstock.settings import GpuSettings

MOST_IN_SLICE = 64  # lines
SLICES = 3  # that fit: while one ends, and another runs, the next begins


class Capacity:
    """Places for lines, given in the order in which they are asked for."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._free = asyncio.Semaphore(most)
        self._turn = asyncio.Lock()

    @classmethod
    def of(cls, settings: GpuSettings) -> "Capacity":
        """As many as one owner finds room for in an engine of these settings, and no more than twice what runs."""
        return cls(max(1, min(2 * settings.max_running, settings.max_waiting * 3 // 4)))

    @property
    def in_slice(self) -> int:
        """Lines of a slice, at most."""
        return max(1, min(MOST_IN_SLICE, self.most // SLICES))

    async def take(self, count: int) -> None:
        """Wait for so many places, `most` at most."""
        async with self._turn:
            taken = 0
            try:
                while taken < count:
                    await self._free.acquire()
                    taken += 1
            except asyncio.CancelledError:
                self.give(taken)
                raise

    def give(self, count: int) -> None:
        """Give places back."""
        for _ in range(count):
            self._free.release()
