"""Live figures: what the engine does now, and what it has done, as plain numbers for whoever shows them.

Written by the engine's thread, read by others as one snapshot. Times are in seconds.
"""

import time
from bisect import bisect_left
from collections import deque
from dataclasses import dataclass

FIRST_TOKEN_BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
INTER_TOKEN_BOUNDS = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 10.0)
RATE_OVER = 10.0  # seconds that tokens a second are averaged over


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many observations were at most each bound, and above the one before; the last count is of the rest."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]  # one more than bounds
    total: float  # the sum of all observations


@dataclass(frozen=True, slots=True)
class Figures:
    """A snapshot. Counts that end with `_total` only grow."""

    waiting: int  # requests not begun
    running: int  # sequences in the batch
    pages: int  # of the key-value pool
    pages_used: int  # held by running sequences
    pages_cached: int  # held by the prefix cache alone, free to be taken
    page_tokens: int  # tokens a page
    tokens_per_s: float  # generated, over the last ten seconds
    requests_total: int
    failed_total: int
    refused_total: int
    prompt_tokens_total: int
    cached_tokens_total: int  # of the prompt's, found in the prefix cache
    completion_tokens_total: int
    preemptions_total: int
    steps_total: int
    first_token: Histogram  # from the submission
    inter_token: Histogram


class Tally:
    """A histogram that grows."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0.0

    def add(self, seconds: float) -> None:
        """Count one observation."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._total += seconds

    def histogram(self) -> Histogram:
        """What was observed so far."""
        return Histogram(self._bounds, tuple(self._counts), self._total)


class Rate:
    """Events a second, over the last `RATE_OVER` seconds."""

    def __init__(self) -> None:
        self.total = 0
        self._events: deque[tuple[float, int]] = deque()
        self._began = time.monotonic()

    def add(self, count: int, now: float) -> None:
        """Count events at `now`, of the monotonic clock."""
        self.total += count
        self._events.append((now, count))
        while self._events[0][0] < now - RATE_OVER:
            self._events.popleft()

    def per_second(self, now: float) -> float:
        """The rate at `now`."""
        recent = sum(count for at, count in self._events.copy() if at >= now - RATE_OVER)
        return recent / min(RATE_OVER, max(now - self._began, 1e-9))
