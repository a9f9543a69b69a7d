"""The load: streams opened at once or one after another, and each chunk's delay from its sending to its arrival."""

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import aiohttp
import orjson

from benchmarks.child import Consumption
from benchmarks.failure import BenchmarkFailed
from penstock.schemas.completion import DONE

_STAMP = re.compile(rb'"content":"(\d+)"')
_DONE = DONE.removesuffix(b"\n\n")
_PATIENCE = 120.0  # seconds for all streams


@dataclass(frozen=True, slots=True)
class Load:
    """How many streams, of how many chunks, at which interval and pace (see upstream.py)."""

    streams: int
    chunks: int
    interval: float  # seconds
    pace: str
    opening: float  # seconds over which the streams are opened

    def body(self) -> bytes:
        """The request of each stream."""
        return orjson.dumps(
            {
                "model": "stub",
                "messages": [{"role": "user", "content": "How does water get to the turbine?"}],
                "stream": True,
                "max_completion_tokens": self.chunks,
                "metadata": {
                    "streams": str(self.streams),
                    "interval": str(self.interval),
                    "pace": self.pace,
                },
            }
        )


@dataclass(slots=True)
class Outcome:
    """What was seen. Delays are those of every chunk but each stream's first: all streams were open then."""

    first_chunk_ms: list[float] = field(default_factory=list)
    delay_ms: list[float] = field(default_factory=list)
    all_open: Consumption | None = None
    first_end: Consumption | None = None
    between: int = 0  # chunks that arrived between those two
    between_seconds: float = 0.0

    @property
    def cpu_us_per_chunk(self) -> float | None:
        """Of the watched process."""
        used = self._cpu()
        return None if used is None else used * 1e6 / self.between

    @property
    def busy_percent(self) -> float | None:
        """The watched process's share of one core."""
        used = self._cpu()
        return None if used is None else used * 100 / self.between_seconds

    def _cpu(self) -> float | None:
        return None if self.all_open is None or self.first_end is None else self.first_end.cpu - self.all_open.cpu


async def run(load: Load, url: str, api_key: str, watch: Callable[[], Consumption | None]) -> Outcome:
    """Open all streams and read each to its end. Raises BenchmarkFailed where one is refused or loses a chunk."""
    crowd = _Crowd(load, watch)
    headers = {"Authorization": f"Bearer {api_key}", "Content-Type": "application/json"}
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    timeout = aiohttp.ClientTimeout(total=_PATIENCE)
    async with aiohttp.ClientSession(connector=connector, headers=headers, timeout=timeout) as http:
        streams = [crowd.stream(http, f"{url}/v1/chat/completions", number) for number in range(load.streams)]
        await asyncio.gather(*streams)
    return crowd.outcome


class _Crowd:
    """The streams of one load."""

    def __init__(self, load: Load, watch: Callable[[], Consumption | None]) -> None:
        self.outcome = Outcome()
        self._load = load
        self._watch = watch
        self._body = load.body()
        self._open = 0
        self._open_since = 0.0

    async def stream(self, http: aiohttp.ClientSession, url: str, number: int) -> None:
        await asyncio.sleep(number / self._load.streams * self._load.opening)
        begun = time.monotonic_ns()
        async with http.post(url, data=self._body) as response:
            if response.status != 200:
                raise BenchmarkFailed(f"a stream was refused: {response.status} {(await response.text())[:400]}")
            arrived, events, rest = 0, b"", b""
            async for data in response.content.iter_any():
                now = time.monotonic_ns()
                events, _, rest = (rest + data).rpartition(b"\n\n")  # whole events, and the beginning of the next
                for stamp in _STAMP.findall(events):
                    self._arrived(arrived, (now - (int(stamp) if arrived else begun)) / 1e6)
                    arrived += 1
        if arrived != self._load.chunks or not events.endswith(_DONE):
            end = "" if events.endswith(_DONE) else ", without its last event"
            raise BenchmarkFailed(f"a stream ended after {arrived} of {self._load.chunks} chunks{end}")

    def _arrived(self, before: int, ms: float) -> None:
        """A chunk, with so many of its stream before it."""
        if before == 0:
            self.outcome.first_chunk_ms.append(ms)
            self._open += 1
            if self._open == self._load.streams:
                self._open_since = time.monotonic()
                self.outcome.all_open = self._watch()
            return
        self.outcome.delay_ms.append(ms)
        if not self.outcome.between_seconds:
            self.outcome.between += 1
            if before == self._load.chunks - 1:
                self.outcome.between_seconds = time.monotonic() - self._open_since
                self.outcome.first_end = self._watch()
