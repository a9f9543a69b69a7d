"""Which lines of a shard come next, and how many at once.

Lines that were under way when a worker died are suspects: they come after all others, in slices that shrink with each
death, and with nothing beside them, so that a line that kills its worker is found out and the others are not blamed
for it. One that was the only line under way at two deaths, or was there at five, is poison, and is not tried again.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from functions.gpu.shards.history import History
from penstock.batches.orders import ShardLine

OF_SUSPECTS = (16, 4, 1)  # lines in a slice, by how often they were there at a death
MOST_ALONE = 2  # deaths of a worker that ran this line alone
MOST_DEATHS = 5  # and with others


@dataclass(frozen=True, slots=True)
class Group:
    """The lines that come next: so many that a slice may be made of some of the first."""

    lines: Sequence[ShardLine]
    suspects: bool  # and nothing may run beside them


class Slices:
    """The lines of one shard that have yet to be begun."""

    def __init__(self, lines: Iterable[ShardLine], history: History) -> None:
        self.poison: list[ShardLine] = []
        self._waiting: list[deque[ShardLine]] = [deque() for _ in range(MOST_DEATHS)]  # by the deaths they were at
        for line in lines:
            number = line["line"]
            if number in history.done:
                continue
            if history.alone[number] >= MOST_ALONE or history.deaths[number] >= MOST_DEATHS:
                self.poison.append(line)
            else:
                self._waiting[history.deaths[number]].append(line)

    def next(self, most: int) -> Group | None:
        """The lines that come next, `most` at most; None where all are begun. They wait until they are taken."""
        for deaths, waiting in enumerate(self._waiting):
            if waiting:
                count = min(most, OF_SUSPECTS[min(deaths, len(OF_SUSPECTS)) - 1]) if deaths else most
                return Group([waiting[at] for at in range(min(count, len(waiting)))], suspects=deaths > 0)
        return None

    def take(self, count: int) -> None:
        """So many of the lines that come next are begun, or done."""
        waiting = next(each for each in self._waiting if each)
        for _ in range(count):
            waiting.popleft()
