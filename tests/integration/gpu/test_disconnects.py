"""A client that goes frees its slot at once and pays for what was generated."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from functions.gpu import reply as reply_module
from penstock.ledger import Lease
from tests.integration.gpu.scripted import ScriptedEngine
from tests.integration.gpu.stand import CHAT, Stand, chat, standing, until

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def connection(
    stand: Stand, request: dict[str, Any]
) -> AsyncIterator[tuple[Lease, asyncio.StreamReader, asyncio.StreamWriter]]:
    """A posted request, on a connection that is dropped at the end of the block."""
    lease, body, headers = await stand.prepare(request)
    reader, writer = await asyncio.open_connection("127.0.0.1", stand.port)
    head = f"Penstock-Ticket: {headers['Penstock-Ticket']}\r\nContent-Length: {len(body)}\r\n"
    writer.write(f"POST {CHAT} HTTP/1.1\r\nHost: test\r\n{head}\r\n".encode() + body)
    await writer.drain()
    try:
        yield lease, reader, writer
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("stream", [True, False])
async def test_leaving_in_the_middle_frees_the_slot_and_is_booked(tmp_path: Path, stream: bool) -> None:
    never = asyncio.Event()
    engine = ScriptedEngine("a", "b", "c", never, "d")
    async with standing(tmp_path, engine) as stand:
        async with connection(stand, chat("hi", stream=stream)) as (lease, reader, _):
            if stream:
                await reader.readuntil(b'"c"')
            await until("it is claimed and waits", lambda: stand.ledger.count("claim") and engine.active)
        await until("the slot is free", lambda: engine.active == 0)
        record = await stand.booked(lease)
        assert await stand.reserved() == 0
    assert record.outcome == "cancelled"
    assert (record.usage.prompt_tokens, record.usage.completion_tokens) == (5, 3)


async def test_leaving_before_the_first_token_costs_nothing(tmp_path: Path) -> None:
    never = asyncio.Event()
    engine = ScriptedEngine(never)
    async with standing(tmp_path, engine) as stand:
        async with connection(stand, chat(stream=True)) as (lease, _, _):
            await until("it is claimed and waits", lambda: stand.ledger.count("claim") and engine.active)
        await until("the slot is free", lambda: engine.active == 0)
        record = await stand.booked(lease)
    assert (record.outcome, record.nano, record.usage.total_tokens) == ("cancelled", 0, 0)


async def test_leaving_while_comments_are_sent_frees_the_slot(tmp_path: Path) -> None:
    never = asyncio.Event()
    engine = ScriptedEngine(never)
    async with standing(tmp_path, engine, heartbeat_after_s=0.01, heartbeat_every_s=0.01) as stand:
        async with connection(stand, chat(stream=True)) as (lease, reader, _):
            await reader.readuntil(b"\n: ")
        await until("the slot is free", lambda: engine.active == 0)
        assert (await stand.booked(lease)).outcome == "cancelled"


async def test_leaving_while_the_claim_is_on_its_way_settles_it(tmp_path: Path) -> None:
    never = asyncio.Event()
    engine = ScriptedEngine("a", never)
    async with standing(tmp_path, engine) as stand:
        stand.ledger.held["claim"] = asyncio.Event()
        async with connection(stand, chat()) as (lease, _, _):
            await until("it is being claimed", lambda: stand.ledger.count("claim") and engine.active)
        await until("the slot is free", lambda: engine.active == 0)
        stand.ledger.held.pop("claim").set()
        record = await stand.booked(lease)
        assert await stand.reserved() == 0
    assert record.outcome == "cancelled"
    assert record.usage.completion_tokens == 1


async def test_leaving_before_the_body_is_there_gives_the_lease_back(tmp_path: Path) -> None:
    async with standing(tmp_path, ScriptedEngine("a")) as stand:
        lease, _, headers = await stand.prepare(chat())
        _, writer = await asyncio.open_connection("127.0.0.1", stand.port)
        head = f"Penstock-Ticket: {headers['Penstock-Ticket']}\r\nContent-Length: 100\r\n"
        writer.write(f"POST {CHAT} HTTP/1.1\r\nHost: test\r\n{head}\r\n{{".encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        await until("the lease is given back", lambda: stand.ledger.count("release"))
        assert await stand.record(lease) is None
        assert stand.engine.begun == []


async def test_a_reader_that_takes_nothing_counts_as_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reply_module, "SEND_WITHIN_S", 0.05)
    engine = ScriptedEngine(*["x" * 100_000] * 200, context_length=1_024)
    async with standing(tmp_path, engine) as stand, connection(stand, chat(stream=True)) as (lease, _, _):
        record = await stand.booked(lease)
        await until("the slot is free", lambda: engine.active == 0)
    # What was generated was generated, and was booked when it was, not when it was read.
    assert record.usage.completion_tokens == 201
    assert record.outcome == "completed"


async def test_a_client_that_reads_on_keeps_its_connection(tmp_path: Path) -> None:
    """The server reports a disconnect after every answer: that is no client that left."""
    async with standing(tmp_path, ScriptedEngine("a")) as stand:
        for _ in range(3):
            lease, response = await stand.post(chat())
            assert orjson.loads(response.content)["id"].endswith(lease.id[4:])
            assert (await stand.booked(lease)).outcome == "completed"
