"""How the lines of a batch are spread over workers: windows of the input, cut into shards.

A window is so much of the input as can be held in memory. Within it the lines are put in the order of their models and
of their prompts' beginnings, so that those which share one come to the same worker, one after the other; then they are
cut by tokens. The same lines make the same shards, each time.
"""

from collections.abc import Iterator, Sequence

from functions.batch.task import Task
from penstock.batches.records import Shard

WINDOW_BYTES = 16 << 20  # of the input
WINDOW_LINES = 16_384

# The more shards a batch has, the more lines a shard has at least, whatever its tokens: with each so many shards one
# line more. So the most lines that a batch may have, in shards of one line, are not millions of shards.
_SHARDS_PER_LEAST = 64


class Window:
    """Lines of the input that are cut into shards together."""

    def __init__(self, number: int) -> None:
        self.number = number  # from 0
        self.tasks: list[Task] = []
        self._bytes = 0

    def holds(self, size: int) -> bool:
        """Whether there is room for a line of so many bytes more. There is always for one."""
        return not self.tasks or (len(self.tasks) < WINDOW_LINES and self._bytes + size <= WINDOW_BYTES)

    def add(self, task: Task, size: int) -> None:
        """Add a line that has so many bytes in the input."""
        self.tasks.append(task)
        self._bytes += size


class Sharding:
    """Cuts the windows of one batch, one after the other."""

    def __init__(self, batch_id: str, *, most_tokens: int, most_lines: int, now: int) -> None:
        self._batch_id = batch_id
        self._most_tokens = most_tokens
        self._most_lines = most_lines
        self._now = now
        self.shards: list[Shard] = []  # so far

    def cut(self, window: Window) -> Iterator[tuple[Shard, bytes]]:
        """The window's shards, each with its input object's content."""
        tasks = sorted(window.tasks, key=lambda task: (task.model, task.beginning, task.number))
        start, tokens = 0, 0
        for place, task in enumerate(tasks):
            if place > start and self._is_full(tasks[start], task, place - start, tokens):
                yield self._shard(window, tasks[start:place])
                start, tokens = place, 0
            tokens += task.expected
        if tasks:
            yield self._shard(window, tasks[start:])

    def _is_full(self, first: Task, following: Task, lines: int, tokens: int) -> bool:
        """Whether a shard that begins with `first`, and has so much by now, ends before the following line."""
        if following.model != first.model or lines >= self._most_lines:
            return True
        least = 1 + len(self.shards) // _SHARDS_PER_LEAST
        return lines >= least and tokens + following.expected > self._most_tokens

    def _shard(self, window: Window, tasks: Sequence[Task]) -> tuple[Shard, bytes]:
        shard = Shard(
            batch_id=self._batch_id,
            number=len(self.shards),
            window=window.number,
            model=tasks[0].model,
            lines=len(tasks),
            tokens=sum(task.tokens for task in tasks),
            since=self._now,
        )
        self.shards.append(shard)
        return shard, b"".join([task.written for task in tasks])
