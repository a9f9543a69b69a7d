"""A cold start, by what its time went to: one line in the log when the process is ready, one at its first token.

    start     from the process's beginning to the first code of ours: the interpreter, and the platform's runtime
    import    torch, transformers and the engine
    load      configuration, tokenizer, and the weights into main memory (or straight to the device)
    copy      the weights to the device, where they were in main memory first
    capture   room for keys and values, attention proven, graphs recorded, kernels warmed up
    open      the ledger, and everything else until requests are taken

A process that was woken from a snapshot of its memory has start, import and load behind it: its line says only
what it did since, and that it was woken.
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import structlog

# The engine's own phases (`load_seconds`), and what they are a part of.
PARTS = {
    "imports": "import",
    "config": "load",
    "tokenizer": "load",
    "weights": "load",
    "quantization": "load",
    "device": "copy",
    "first step": "capture",
    "keys and values": "capture",
    "attention": "capture",
    "graphs": "capture",
    "warm-up": "capture",
    "grammar": "load",
}

BEFORE_SNAPSHOT = ("import", "load")

log = structlog.get_logger()


class ColdStart:
    """One start of one process. Made as early as can be."""

    def __init__(self) -> None:
        now = time.monotonic()
        self._began = process_began()
        self._seconds: dict[str, float] = {"start": now - self._began}
        self._woken = False
        self._told = False  # of a first token

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a phase; what one has in several pieces adds up."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._add(name, time.monotonic() - began)

    def engine(self, load_seconds: Mapping[str, float]) -> None:
        """Take in where an engine's time went."""
        for name, seconds in load_seconds.items():
            part = PARTS.get(name, "capture")
            if not (self._woken and part in BEFORE_SNAPSHOT):
                self._add(part, seconds)

    def woken(self) -> None:
        """The process was just woken from a snapshot; nothing before it was waited for."""
        self._began = time.monotonic()
        self._seconds.clear()
        self._woken = True

    def ready(self, model: str) -> None:
        """Requests are taken from now on."""
        log.info(
            "cold_start",
            model=model,
            woken=self._woken,
            total_s=round(time.monotonic() - self._began, 3),
            seconds={name: round(seconds, 3) for name, seconds in self._seconds.items()},
        )

    def first_token(self, request_began: float, token_at: float | None) -> None:
        """A request has ended whose first token came then (by the monotonic clock); the first one is told."""
        if self._told or token_at is None:
            return
        self._told = True
        since_start, of_request = token_at - self._began, token_at - request_began
        log.info("first_token", since_start_s=round(since_start, 3), of_request_s=round(of_request, 3))

    def _add(self, name: str, seconds: float) -> None:
        self._seconds[name] = self._seconds.get(name, 0.0) + seconds


def process_began() -> float:
    """When this process began, by the monotonic clock; where the system does not say, now.

    From `starttime` in /proc/self/stat (proc(5)): clock ticks after boot.
    """
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - started
    except (OSError, ValueError, IndexError, AttributeError):
        age = 0.0
    return time.monotonic() - max(age, 0.0)
