"""How many lines one process has under way, of all its shards: enough that its engine never waits for the next one.

A slice is larger than that, because each is a lease, and the ledger has to write all of an account's live leases
whenever it writes one (docs/scale.md). It is no larger than two rounds of the places, so that on a slow engine too it
is over long before its lease, and a death costs little.
"""

import asyncio

from penstock.settings import GpuSettings

MOST_IN_SLICE = 256  # lines
ROUNDS = 2  # of all places, at most
SHARE_OF_SHARD = 4  # a slice is a fourth of its shard,
SHARE_OF_PLACES = 3  # or a third of the places, whichever is more


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

    def in_slice(self, lines: int) -> int:
        """Lines of a slice, at most, of a shard that has so many."""
        share = max(1, lines // SHARE_OF_SHARD, self.most // SHARE_OF_PLACES)
        return min(share, ROUNDS * self.most, MOST_IN_SLICE)

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
