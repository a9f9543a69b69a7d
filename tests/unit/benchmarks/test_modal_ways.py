"""HTTP, as Modal's benchmark asks: what a proxy says is asked again, what the GPU process says is its word."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import orjson
import pytest
from aiohttp import web

from benchmarks.failure import BenchmarkFailed
from benchmarks.modal.admission import Admission, enrol, served
from benchmarks.modal.ways import ADMITTED, OURS, PROCESS, Http, Item
from penstock.clock import now_ms
from penstock.ledger import open_ledger
from penstock.schemas.completion import DONE, event
from penstock.ticket import TicketKeys, hash_body
from tests.integration.gpu.stand import CONFIG, TICKET_KEYS
from tests.unit.benchmarks.test_load import serving
from tests.unit.benchmarks.test_modal import ScriptedServer

pytestmark = pytest.mark.anyio
ASKED = {"model": "demo", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2, "stream": True}
TEXT = event(orjson.dumps({"choices": [{"delta": {"content": "a"}}]}))
USED = event(orjson.dumps({"choices": [], "usage": {"completion_tokens": 2}}))


@asynccontextmanager
async def way(folder: Path, answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[Http]:
    ledger = await open_ledger(f"sqlite:///{folder / 'ledger.db'}")
    try:
        [key] = await enrol(ledger, 1)
        admission = Admission(ledger, served(CONFIG, "demo"), key.id, TICKET_KEYS)
        async with serving(answer) as url, aiohttp.ClientSession() as http:
            yield Http(
                PROCESS,
                server=ScriptedServer(),
                url=lambda: url,
                http=http,
                admissions=[admission],
                headers={"Modal-Key": "a"},
            )
    finally:
        await ledger.close()


async def test_a_ticket_fits_its_body_and_a_proxy_that_is_cold_is_asked_again(tmp_path: Path) -> None:
    tickets: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.headers["Modal-Key"] == "a"
        tickets.append(request.headers["Penstock-Ticket"])
        ticket = TicketKeys.parse(TICKET_KEYS).verify(tickets[-1], now=now_ms())
        assert ticket.body_hash == hash_body(await request.read())
        if len(tickets) == 1:
            return web.Response(status=503)
        return web.Response(body=TEXT + USED + DONE)

    async with way(tmp_path, answer) as http:
        items = [item async for item in http.ask(ASKED)]
    assert items == [ADMITTED, Item(True, 2)]
    assert len(tickets) == 2
    assert tickets[0] == tickets[1]


@pytest.mark.parametrize(("status", "headers"), [(503, {OURS: "1"}), (429, {})])
async def test_a_refusal_is_a_failure(tmp_path: Path, status: int, headers: dict[str, str]) -> None:
    async def refuse(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text="full", headers=headers)

    async with way(tmp_path, refuse) as http:
        with pytest.raises(BenchmarkFailed, match=f"own process: {status} full"):
            [item async for item in http.ask(ASKED)]


async def test_a_stream_that_breaks_off_is_a_failure(tmp_path: Path) -> None:
    async def break_off(_: web.Request) -> web.StreamResponse:
        return web.Response(body=TEXT + event(orjson.dumps({"error": {"message": "gone"}})))

    async with way(tmp_path, break_off) as http:
        with pytest.raises(BenchmarkFailed, match="broke off"):
            [item async for item in http.ask(ASKED)]
