"""The two ways to the same app: uvicorn, over HTTP, and the streaming runtime, through a stand-in for the Runtime API.

Whoever receives is this process, and arrival is when the bytes of a chunk have been read: by aiohttp's client on one
way, by the stand-in on the other.
"""

import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp

from benchmarks.child import Child, child
from benchmarks.edge import events
from benchmarks.edge.load import Load
from benchmarks.edge.rig import Rig
from benchmarks.edge.servers import Server
from benchmarks.failure import BenchmarkFailed
from tests.servers.runtime_api import RuntimeApi, runtime_api

_STAMP = re.compile(rb'"content":"(\d+)"')
_PATIENCE = 60.0  # seconds for one request


@dataclass(frozen=True, slots=True)
class Streamed:
    """One stream: the time to its first chunk, and every later chunk's from its sending to its arrival."""

    first_ms: float
    delays_ms: list[float]


class Way(Protocol):
    """One of the two."""

    process: Child

    async def stream(self, load: Load) -> Streamed:
        """One stream. Raises BenchmarkFailed."""

    async def small(self) -> None:
        """One small request: the list of models. Raises BenchmarkFailed."""


class Served:
    """The app under uvicorn, by way of kept connections."""

    def __init__(self, server: Server, http: aiohttp.ClientSession) -> None:
        self.process = server.process
        self._url = server.url
        self._http = http

    async def stream(self, load: Load) -> Streamed:
        """One stream. Raises BenchmarkFailed."""
        begun, arrived = time.monotonic(), list[tuple[float, bytes]]()
        async with self._http.post(f"{self._url}/v1/chat/completions", data=load.body()) as response:
            async for data in response.content.iter_any():
                arrived.append((time.monotonic(), data))
        return _streamed(begun, arrived, load)

    async def small(self) -> None:
        """The list of models. Raises BenchmarkFailed."""
        async with self._http.get(f"{self._url}/v1/models") as response:
            if response.status != 200 or not await response.read():
                raise BenchmarkFailed(f"the models were refused: {response.status}")


class Invoked:
    """The app under the streaming runtime, one invocation at a time."""

    def __init__(self, process: Child, api: RuntimeApi, api_key: str) -> None:
        self.process = process
        self._api = api
        self._key = api_key

    async def stream(self, load: Load) -> Streamed:
        """One stream. Raises BenchmarkFailed."""
        begun = time.monotonic()
        return _streamed(begun, await self._invoke(events.chat(self._key) | {"body": load.body().decode()}), load)

    async def small(self) -> None:
        """The list of models. Raises BenchmarkFailed."""
        await self._invoke(events.models(self._key))

    async def _invoke(self, event: dict[str, Any]) -> list[tuple[float, bytes]]:
        invocation = self._api.invoke(event, timeout=_PATIENCE)
        try:
            await invocation.done()
        except TimeoutError:
            raise self.process.failed("did not answer an invocation") from None
        if invocation.error is not None or invocation.prelude["statusCode"] != 200:
            raise self.process.failed(f"refused an invocation: {invocation.error or invocation.data[:400]!r}")
        return invocation.chunks


@asynccontextmanager
async def ways(rig: Rig, relay: Server, upstream: Server) -> AsyncIterator[dict[str, Way]]:
    """Both ways, by name; `relay` is the edge under uvicorn."""
    headers = {"Authorization": f"Bearer {rig.api_key}", "Content-Type": "application/json"}
    timeout = aiohttp.ClientTimeout(total=_PATIENCE)
    async with runtime_api() as api, aiohttp.ClientSession(headers=headers, timeout=timeout) as http:
        environment = {
            **rig.environment(upstream.url),
            "AWS_LAMBDA_RUNTIME_API": api.address,
            "_HANDLER": "functions.edge.handler.handler",
        }
        arguments = ["-m", "benchmarks.streaming.function"]
        with child("function", arguments, log=rig.directory / "function.log", environment=environment) as process:
            yield {"uvicorn": Served(relay, http), "streaming.py": Invoked(process, api, rig.api_key)}


def _streamed(begun: float, arrived: list[tuple[float, bytes]], load: Load) -> Streamed:
    stamped = [(moment, int(stamp) / 1e9) for moment, data in arrived for stamp in _STAMP.findall(data)]
    if len(stamped) != load.chunks:
        end = b"".join(data for _, data in arrived)[-400:]
        raise BenchmarkFailed(f"a stream had {len(stamped)} of {load.chunks} chunks; its end: {end!r}")
    delays = [(moment - sent) * 1e3 for moment, sent in stamped[1:]]
    return Streamed((stamped[0][0] - begun) * 1e3, delays)
