"""`kill -9` of a GPU process while the ledger is away: what it had spooled, the next one books."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest

from penstock.clock import now_ms
from penstock.ledger import Account, Caller, Key, Ledger, Usage, open_ledger
from tests.integration.gpu.running import Gpu, gpu, ready, ticket
from tests.integration.gpu.stand import CHAT, chat, until

pytestmark = pytest.mark.anyio

REQUESTS = 6
PATIENT = "tests.integration.gpu.patient:create"
CALLER = Caller(Account("acme", "Acme", 1), Key("key_1", "acme", "laptop", "0" * 64, 1))


@contextmanager
def away(folder: Path) -> Iterator[None]:
    """Nobody else can write to the ledger meanwhile."""
    db = sqlite3.connect(folder / "ledger.db", isolation_level=None)
    try:
        db.execute("BEGIN IMMEDIATE")
        yield
    finally:
        db.close()


async def generate(ledger: Ledger, running: Gpu, go_on: Callable[[], None]) -> list[str]:
    """Answers that begin with the ledger there and end with it away; when all are on disk, the end."""
    base = f"http://127.0.0.1:{running.port}"
    async with httpx2.AsyncClient(base_url=base, timeout=60) as http, AsyncExitStack() as streams:
        await ready(http, running)

        async def begin() -> httpx2.Response:
            body = orjson.dumps(chat("hi", stream=True, max_tokens=16) | {"model": "tiny"})
            signed = await ticket(ledger, CALLER, running.folder / "penstock.toml", body)
            request: Any = http.stream("POST", CHAT, content=body, headers={"Penstock-Ticket": signed})
            response: httpx2.Response = await streams.enter_async_context(request)
            assert response.status_code == 200  # so its lease is claimed
            return response

        responses = [await begin() for _ in range(REQUESTS)]
        with away(running.folder):
            go_on()
            answers = await asyncio.gather(*[response.aread() for response in responses])
            await until("all are on disk", lambda: len(spooled(running.folder)) == REQUESTS)
            running.process.kill()
            running.process.wait()
    assert all(answer.endswith(b"[DONE]\n\n") for answer in answers)
    return spooled(running.folder)


def spooled(folder: Path) -> list[str]:
    return sorted(file.name for file in (folder / "spool").glob("*.json"))


@pytest.mark.parametrize("closed", [False, True], ids=["open", "closed-meanwhile"])
async def test_what_a_killed_process_had_spooled_the_next_one_books(tmp_path: Path, closed: bool) -> None:
    go = tmp_path / "go"
    environment = {"PENSTOCK_SPOOL": str(tmp_path / "spool"), "GO": str(go)}
    ledger = await open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    await ledger.create_account(CALLER.account)
    await ledger.create_key(CALLER.key)
    with gpu(tmp_path, PATIENT, **environment) as running:
        left = await generate(ledger, running, go.touch)
    assert len(left) == REQUESTS
    assert await ledger.records() == []
    if closed:
        assert len(await ledger.expire(now_ms() + 3_600_000)) == REQUESTS

    with gpu(tmp_path, PATIENT, **environment) as running:
        await until("all is booked", lambda: not spooled(tmp_path))
        assert running.process.poll() is None
        recovered = [line for line in running.lines() if line["event"] == "settlement_recovered"]
    records = await ledger.records()
    (row,) = await ledger.usage()
    await ledger.close()
    assert sorted(f"{record.request_id}.json" for record in records) == left
    assert len(recovered) == REQUESTS
    assert all(record.usage == Usage(5, 0, 3) and not record.provisional for record in records)
    assert (row.requests, row.usage) == (REQUESTS, Usage(5 * REQUESTS, 0, 3 * REQUESTS))
    assert row.nano == sum(record.nano for record in records) > 0


async def test_a_spool_that_cannot_be_used_is_one_line_and_code_3(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with gpu(tmp_path, PATIENT, PENSTOCK_SPOOL=str(tmp_path / "file"), GO="go") as running:
        await until("it ends", lambda: running.process.poll() is not None)
        (line,) = running.lines()
    assert running.process.returncode == 3
    assert line["event"] == "startup_failed"
    assert "PENSTOCK_SPOOL" in line["error"]
