"""The same lines over HTTP, to `penstock serve`: one after the other, or many at once."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.batch.questions import PATH
from benchmarks.batch.turn import Processors, Turn, descendants
from benchmarks.failure import BenchmarkFailed
from tests.e2e.service import serving

PATIENCE = 600.0  # seconds, of one turn
KEPT_S = 2.0  # an idle connection: less than the service keeps it


class OverHttp:
    """A service that is up."""

    def __init__(self, http: aiohttp.ClientSession, pid: int) -> None:
        self._http = http
        self._pid = pid

    async def answer(self, bodies: Sequence[dict[str, Any]], at_once: int) -> Turn:
        """Have them answered, so many at once. Raises BenchmarkFailed where one is not."""
        processors = Processors({"service": descendants(self._pid)})
        left = iter(bodies)
        begun = time.monotonic()
        used = await asyncio.gather(*(self._client(left) for _ in range(at_once)))
        seconds = time.monotonic() - begun
        return Turn(len(bodies), sum(used), seconds, processors.used(), {})

    async def _client(self, left: Any) -> int:
        """Ask one after the other of what is left; the tokens."""
        return sum([await self._ask(body) for body in left])

    async def _ask(self, body: dict[str, Any]) -> int:
        try:
            async with self._http.post(PATH, json=body) as response:
                answer = await response.json()
        except aiohttp.ClientError as error:
            raise BenchmarkFailed(f"the service did not answer: {error}") from error
        if response.status != 200:
            raise BenchmarkFailed(f"the service answered {response.status}: {answer}")
        tokens: int = answer["usage"]["total_tokens"]
        return tokens


@asynccontextmanager
async def over_http(folder: Path) -> AsyncIterator[OverHttp]:
    """A service with the demo model on one thread, until the context ends."""
    settings = {"PENSTOCK_THREADS": "1", "OMP_NUM_THREADS": "1", "PENSTOCK_LOG_LEVEL": "warning"}
    with serving(folder / "data", **settings) as service:
        timeout = aiohttp.ClientTimeout(total=PATIENCE)
        headers = {"Authorization": f"Bearer {service.key}"}
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEPT_S)
        async with aiohttp.ClientSession(service.url, timeout=timeout, headers=headers, connector=connector) as http:
            yield OverHttp(http, service.process.pid)
