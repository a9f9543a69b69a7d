"""The load counts every chunk, and a stream that is refused or loses one ends the benchmark."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from benchmarks.child import Consumption
from benchmarks.edge.load import Load, run
from benchmarks.failure import BenchmarkFailed
from penstock.schemas.completion import DONE

pytestmark = pytest.mark.anyio
LOAD = Load(streams=3, chunks=4, interval=0.01, pace="even", opening=0)
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def chunk() -> bytes:
    return b'data: {"choices": [{"delta": {"content":"%d"}}]}\n\n' % time.monotonic_ns()


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[str]:
    app = web.Application()
    app.add_routes([web.post("/v1/chat/completions", answer)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


def streaming(chunks: int, end: bytes) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.headers["authorization"] == "Bearer the-key"
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(chunks):
            sent = chunk()
            await response.write(sent[:40])  # an event may come in two pieces
            await asyncio.sleep(0.005)
            await response.write(sent[40:])
        await response.write(end)
        return response

    return answer


async def test_every_chunk_has_a_delay_and_the_first_of_a_stream_a_time_of_its_own() -> None:
    watched: list[int] = []

    def watch() -> Consumption:
        watched.append(len(watched))
        return Consumption(cpu=float(len(watched)), resident=1)

    async with serving(streaming(4, DONE)) as url:
        outcome = await run(LOAD, url, "the-key", watch)
    assert len(outcome.first_chunk_ms) == 3
    assert len(outcome.delay_ms) == 3 * (4 - 1)
    assert min(*outcome.first_chunk_ms, *outcome.delay_ms) >= 0
    assert len(watched) == 2  # when all were open, and when the first ended


async def test_a_lost_chunk_is_a_failure() -> None:
    async with serving(streaming(3, DONE)) as url:
        with pytest.raises(BenchmarkFailed, match="ended after 3 of 4 chunks"):
            await run(LOAD, url, "the-key", lambda: None)


async def test_a_stream_that_breaks_off_is_a_failure() -> None:
    async with serving(streaming(4, b"")) as url:
        with pytest.raises(BenchmarkFailed, match="ended after 4 of 4 chunks, without its last event"):
            await run(LOAD, url, "the-key", lambda: None)


async def test_a_refused_stream_is_a_failure() -> None:
    async def refuse(_: web.Request) -> web.StreamResponse:
        return web.Response(status=503, text="busy")

    async with serving(refuse) as url:
        with pytest.raises(BenchmarkFailed, match="refused: 503 busy"):
            await run(LOAD, url, "the-key", lambda: None)
