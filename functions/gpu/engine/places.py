"""The places in which requests wait to begin: how many there are, who has them, and when to ask again.

No owner gets the last ones: one may have at most `SHARE` times as many as are left over. So a flood of one
owner fills three quarters of the places and finds the queue full, while others still find some. (The rule
is that of dynamic thresholds for shared buffers: Choudhury and Hahne, 1998.) Used by every thread that
submits, and by the engine's.
"""

import math
import threading
import time
from collections import Counter

from functions.gpu.engine.figures import Rate
from functions.gpu.engine.protocol import QueueFull

SHARE = 3
MOST_RETRY_S = 60  # seconds
FIRST_RETRY_S = 10  # where nothing has begun lately, and nobody knows


class Places:
    """`limit` places."""

    def __init__(self, limit: int) -> None:
        self.refused = 0
        self._limit = limit
        self._taken: Counter[str] = Counter()
        self._waiting = 0
        self._rate = Rate()  # of requests that begin
        self._lock = threading.Lock()

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        return self._waiting

    def take(self, owner: str) -> None:
        """Take a place. Raises QueueFull, with the time in which as many as wait now have lately begun."""
        with self._lock:
            own = self._taken[owner]
            if own >= SHARE * (self._limit - self._waiting):
                self.refused += 1
                raise QueueFull(self._waiting, self._limit, own=own, retry_after_s=self._retry_after())
            self._waiting += 1
            self._taken[owner] += 1

    def free(self, owner: str, *, begun: bool) -> None:
        """Give a place back, because its request begins, or is gone."""
        with self._lock:
            self._waiting -= 1
            self._taken[owner] -= 1
            if not self._taken[owner]:
                del self._taken[owner]
            if begun:
                self._rate.add(1, time.monotonic())

    def _retry_after(self) -> int:
        rate = self._rate.per_second(time.monotonic())
        return min(MOST_RETRY_S, max(1, math.ceil(self._waiting / rate))) if rate else FIRST_RETRY_S
