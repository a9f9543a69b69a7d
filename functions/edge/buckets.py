"""Token buckets by name, in one process: each holds `burst`, and fills again by `per_second`.

Of at most `most` names; the longest unused is forgotten first, and with that its bucket is full again.
"""

import math
from collections import OrderedDict
from time import monotonic


class Buckets:
    """All full at first."""

    def __init__(self, *, burst: int, per_second: float, most: int) -> None:
        self._burst = burst
        self._per_second = per_second
        self._most = most
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()  # (level, at)

    def take(self, name: str) -> int:
        """Take one out. Where there is none: the whole seconds until there is; 0 where one was taken."""
        level = self._level(name)
        if level < 1:
            return max(1, math.ceil((1 - level) / self._per_second))
        self._set(name, level - 1)
        return 0

    def give_back(self, name: str) -> None:
        """Put one back in."""
        self._set(name, min(self._level(name) + 1, self._burst))

    def empty(self, name: str) -> bool:
        """Whether there is none to take."""
        return self._level(name) < 1

    def _level(self, name: str) -> float:
        known = self._levels.get(name)
        if known is None:
            return self._burst
        level, at = known
        return min(level + (monotonic() - at) * self._per_second, self._burst)

    def _set(self, name: str, level: float) -> None:
        self._levels[name] = (level, monotonic())
        self._levels.move_to_end(name)
        if len(self._levels) > self._most:
            self._levels.popitem(last=False)
