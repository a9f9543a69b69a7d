"""What a shard's log says of its lines: which are done, which were under way when their worker died, what is owed."""

from collections import Counter
from dataclasses import dataclass, field

from penstock.batches.log import Attempt, Begun, Closed, Ended, Entry
from penstock.ledger import Lease, Usage


@dataclass(slots=True)
class History:
    """Entries taken in one by one, in their order. Of results only the lines' numbers are kept."""

    attempts: int = 0
    next_slice: int = 0
    closed: bool = False
    completed: int = 0
    failed: int = 0
    usage: Usage = field(default_factory=Usage)
    done: set[int] = field(default_factory=set)  # lines with a result
    # How often each line was under way when its worker died; how often it was the only one.
    deaths: Counter[int] = field(default_factory=Counter)
    alone: Counter[int] = field(default_factory=Counter)
    owed: dict[int, tuple[Lease, Usage]] = field(
        default_factory=dict
    )  # what slices that ended came to, by their numbers
    lost: list[Lease] = field(default_factory=list)  # of slices whose worker died
    open: dict[int, Begun] = field(default_factory=dict)  # slices under way, by their numbers

    def add(self, entry: Entry) -> None:
        """Take in the next entry."""
        if isinstance(entry, Attempt):
            self._attempted(entry)
        elif isinstance(entry, Begun):
            self.open[entry.slice] = entry
            self.next_slice = entry.slice + 1
        elif isinstance(entry, Ended):
            self._ended(entry)
        elif isinstance(entry, Closed):
            self.closed = True

    def _attempted(self, entry: Attempt) -> None:
        self.attempts = entry.attempt
        under_way = [line for begun in self.open.values() for line in begun.lines]
        self.deaths.update(under_way)
        if len(under_way) == 1:
            self.alone.update(under_way)
        self.lost += [begun.lease for begun in self.open.values()]
        self.open.clear()

    def _ended(self, entry: Ended) -> None:
        self.open.pop(entry.slice, None)
        self.next_slice = max(self.next_slice, entry.slice + 1)
        self.done.update(result.line for result in entry.results)
        completed = sum(result.status == 200 for result in entry.results)
        self.completed += completed
        self.failed += len(entry.results) - completed
        self.usage = plus(self.usage, entry.usage)
        if entry.lease is not None:
            self.owed[entry.slice] = (entry.lease, entry.usage)


def plus(one: Usage, other: Usage) -> Usage:
    """Both together."""
    return Usage(
        one.prompt_tokens + other.prompt_tokens,
        one.cached_prompt_tokens + other.cached_prompt_tokens,
        one.completion_tokens + other.completion_tokens,
    )
