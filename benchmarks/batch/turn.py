"""One turn of one way: lines that were answered, what they had, and what that took."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.child import consumption_of


@dataclass(frozen=True, slots=True)
class Turn:
    """Seconds of the whole and of its steps; CPU time by who used it, None where the system does not tell."""

    lines: int
    tokens: int  # of prompts and answers
    seconds: float
    cpu: dict[str, float] | None
    steps: dict[str, float]

    @property
    def lines_s(self) -> float:
        """Lines a second."""
        return self.lines / self.seconds

    @property
    def tokens_s(self) -> float:
        """Tokens a second."""
        return self.tokens / self.seconds

    def cpu_ms(self, *whose: str) -> float | None:
        """CPU time of a line, in milliseconds: of everybody, or of these."""
        if self.cpu is None:
            return None
        return sum(self.cpu[name] for name in whose or self.cpu) * 1_000 / self.lines


class Processors:
    """CPU time from now on, of processes by whose they are."""

    def __init__(self, whose: dict[str, Iterable[int]]) -> None:
        self._whose = {name: tuple(pids) for name, pids in whose.items()}
        self._before = self._read()

    def used(self) -> dict[str, float] | None:
        """In seconds."""
        before, now = self._before, self._read()
        if before is None or now is None:
            return None
        return {name: now[name] - before[name] for name in now}

    def _read(self) -> dict[str, float] | None:
        found = {name: [consumption_of(pid) for pid in pids] for name, pids in self._whose.items()}
        if not Path("/proc/self/stat").exists():
            return None
        return {name: sum(one.cpu for one in of_name if one is not None) for name, of_name in found.items()}


def descendants(pid: int | None = None) -> list[int]:
    """The children of a process, of this one unless said, and theirs. Where the system has no /proc, none."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[1])  # proc(5)
        except OSError:
            continue
        parents.setdefault(parent, []).append(int(stat.parent.name))
    found, left = [], [os.getpid() if pid is None else pid]
    while left:
        children = parents.get(left.pop(), [])
        found += children
        left += children
    return found
