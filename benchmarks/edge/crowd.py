"""A crowd: so many connections, each of which asks again as soon as it has its answer.

Each goes on until `seconds` are over and it has had two answers: slow servers answer a crowd in waves, and a part of
a wave says nothing. The first answer of each is not in the latencies, since the crowd was not complete when it was
asked for. Everything else is of the whole, from the first request to the last answer.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

import aiohttp

from benchmarks.child import Consumption
from benchmarks.spread import percentile
from penstock.schemas.completion import DONE

_PATIENCE = 300.0  # seconds for one answer: a server with 1,000 waiting may do ten a second
_ANSWERS = 2  # of each connection, at least
_DONE = DONE.strip()


@dataclass(frozen=True, slots=True)
class Crowd:
    """How many connections, what each asks, and for how long at least."""

    connections: int
    body: bytes
    seconds: float


@dataclass(slots=True)
class Seen:
    """What was seen. `server_cpu` and `resident` are the watched server's, `client_cpu` is this process's."""

    answered: int = 0
    latency_ms: list[float] = field(default_factory=list)  # of what was answered, but for each connection's first
    failures: list[str] = field(default_factory=list)
    elapsed: float = 0.0  # seconds
    client_cpu: float = 0.0  # seconds
    server_cpu: float | None = None  # seconds
    resident: int | None = None  # bytes, at the end

    @property
    def per_second(self) -> float:
        """Answered requests."""
        return self.answered / self.elapsed

    def latency(self, percent: float) -> float | None:
        """Milliseconds. None where no request was answered."""
        return percentile(self.latency_ms, percent) if self.latency_ms else None

    @property
    def client_busy_percent(self) -> float:
        """The client's share of one core: near 100 it is what limits the rate."""
        return 100 * self.client_cpu / self.elapsed

    @property
    def cpu_ms(self) -> float | None:
        """Of the server, for an answered request."""
        return 1_000 * self.server_cpu / self.answered if self.server_cpu is not None and self.answered else None


async def ask(crowd: Crowd, url: str, api_key: str, watch: Callable[[], Consumption | None]) -> Seen:
    """Let the crowd ask. Failures are counted, and what failed asks again like the rest."""
    headers = {"Authorization": f"Bearer {api_key}", "Content-Type": "application/json"}
    timeout = aiohttp.ClientTimeout(total=_PATIENCE)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, headers=headers, timeout=timeout) as http:
        asking = _Asking(crowd, http, f"{url}/v1/chat/completions")
        before, cpu = watch(), time.process_time()
        await asyncio.gather(*(asking.connection() for _ in range(crowd.connections)))
        seen, after = asking.seen, watch()
    seen.elapsed = time.perf_counter() - asking.begun
    seen.client_cpu = time.process_time() - cpu
    if before is not None and after is not None:
        seen.server_cpu = after.cpu - before.cpu
        seen.resident = after.resident
    return seen


class _Asking:
    """The connections of one crowd."""

    def __init__(self, crowd: Crowd, http: aiohttp.ClientSession, url: str) -> None:
        self.seen = Seen()
        self.begun = time.perf_counter()
        self._crowd = crowd
        self._http = http
        self._url = url

    async def connection(self) -> None:
        for number in count():
            if number >= _ANSWERS and time.perf_counter() - self.begun > self._crowd.seconds:
                return
            begun = time.perf_counter()
            failure = await self._failure()
            if failure is not None:
                self.seen.failures.append(failure)
                continue
            self.seen.answered += 1
            if number:
                self.seen.latency_ms.append((time.perf_counter() - begun) * 1_000)

    async def _failure(self) -> str | None:
        """Why it failed, or None where it was answered whole."""
        try:
            async with self._http.post(self._url, data=self._crowd.body) as response:
                answer = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            return f"{type(error).__name__}: {error}"
        if response.status != 200:
            return f"{response.status} {answer[:200].decode(errors='replace')}"
        streamed = response.content_type == "text/event-stream"
        return "a stream without its last event" if streamed and not answer.rstrip().endswith(_DONE) else None
