"""The ledger is away while answers end: every one of them is booked, once, whatever happens to the process."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import httpx2
import pytest

from functions.gpu.settlement import Settlement
from functions.gpu.spool import Spool
from penstock.clock import now_ms
from penstock.ledger import Lease, Usage, UsageRecord, open_ledger
from tests.integration.gpu.scripted import ScriptedEngine
from tests.integration.gpu.stand import Stand, chat, events, standing, text_of, until

pytestmark = pytest.mark.anyio

REQUESTS = 25
PROMPT, COMPLETION = 5, 3  # tokens of "hi", and of "a", "b" and the end
AWAY = {"settle", "checkpoint", "expire", "release", "claim"}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """An outage of seconds here is one of many minutes there."""
    monkeypatch.setattr("functions.gpu.bookkeeper.SETTLE_WITHIN_S", 0.02)
    monkeypatch.setattr("functions.gpu.backlog.FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr("functions.gpu.backlog.LAST_PAUSE_S", 0.02)
    monkeypatch.setattr("functions.gpu.service.SETTLE_WITHIN_S", 0.2)


def spooled(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


async def end_while_away(stand: Stand, go: asyncio.Event, count: int = REQUESTS) -> list[Lease]:
    """Answers that have begun with the ledger there, and end with it away. All are whole."""
    async with AsyncExitStack() as streams:
        begun = [await streams.enter_async_context(stand.stream(chat("hi"))) for _ in range(count)]
        await until("all are claimed", lambda: stand.ledger.count("claim") >= count)
        stand.ledger.failing = AWAY
        go.set()
        texts = await asyncio.gather(*[text(response) for _, response in begun])
    assert texts == ["ab"] * count
    return [lease for lease, _ in begun]


async def text(response: httpx2.Response) -> str:
    whole = events((await response.aread()).decode())
    assert whole[-1] == "[DONE]"
    return text_of(whole)


async def booked(folder: Path, leases: Sequence[Lease]) -> list[UsageRecord]:
    """The records in the file, which must add up to what is sold by the day, and to what was generated."""
    ledger = await open_ledger(f"sqlite:///{folder / 'ledger.db'}")
    records = [record for lease in leases if (record := await ledger.record(lease.id))]
    rows = await ledger.usage()
    everything = await ledger.records()
    await ledger.close()
    assert len(records) == len(everything) == len(leases)
    assert all(record.usage == Usage(PROMPT, 0, COMPLETION) for record in records)
    assert all(not record.provisional and record.outcome == "completed" for record in records)
    (row,) = rows
    assert (row.requests, row.usage) == (len(leases), Usage(PROMPT * len(leases), 0, COMPLETION * len(leases)))
    assert row.nano == sum(record.nano for record in records)
    return records


async def test_when_the_ledger_is_back_everything_is_booked_once(tmp_path: Path) -> None:
    go = asyncio.Event()
    spool = tmp_path / "spool"
    async with standing(tmp_path, ScriptedEngine("a", go, "b"), spool=spool) as stand:
        leases = await end_while_away(stand, go)
        await until("all are on disk", lambda: len(spooled(spool)) == REQUESTS)
        assert await stand.reserved() == REQUESTS
        stand.ledger.failing = set()
        await until("nothing is left on disk", lambda: not spooled(spool))
        assert await stand.reserved() == 0
    await booked(tmp_path, leases)


@pytest.mark.parametrize("closed", [False, True], ids=["open", "closed-meanwhile"])
async def test_what_the_process_leaves_the_next_one_books(tmp_path: Path, closed: bool) -> None:
    """Where the ledger has closed the lease meanwhile, it adds what was missing, once."""
    go = asyncio.Event()
    spool = tmp_path / "spool"
    async with standing(tmp_path, ScriptedEngine("a", go, "b"), spool=spool, checkpoint_tokens=1) as stand:
        leases = await end_while_away(stand, go)
    assert spooled(spool) == sorted(f"{lease.id}.json" for lease in leases)
    if closed:
        ledger = await open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
        assert len(await ledger.expire(now_ms() + 3_600_000)) == REQUESTS
        assert all(record.provisional for record in await ledger.records())
        await ledger.close()
    async with standing(tmp_path, ScriptedEngine(), spool=spool) as stand:
        await until("all is booked", lambda: not spooled(spool))
        assert await stand.reserved() == 0
    await booked(tmp_path, leases)


async def test_the_end_flushes_what_it_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("functions.gpu.service.SETTLE_WITHIN_S", 20.0)
    go = asyncio.Event()
    spool = tmp_path / "spool"
    async with standing(tmp_path, ScriptedEngine("a", go, "b"), spool=spool) as stand:
        leases = await end_while_away(stand, go)
        stand.server.should_exit = True
        await asyncio.sleep(0.1)
        stand.ledger.failing = set()
        await until("all is closed", lambda: stand.engine.closed)
    assert spooled(spool) == []
    await booked(tmp_path, leases)


async def test_every_message_may_come_twice(tmp_path: Path) -> None:
    go = asyncio.Event()
    spool = tmp_path / "spool"
    async with standing(tmp_path, ScriptedEngine("a", go, "b"), spool=spool, checkpoint_tokens=1) as stand:
        stand.ledger.twice = True
        leases = await end_while_away(stand, go)
        stand.ledger.failing = set()
        await until("nothing is left on disk", lambda: not spooled(spool))
        lease, response = await stand.post(chat("hi"))
        assert response.status_code == 200
        await stand.booked(lease)
        assert await stand.reserved() == 0
    await booked(tmp_path, [*leases, lease])


async def test_answers_that_are_lost_are_asked_for_again(tmp_path: Path) -> None:
    """The ledger has booked it, and the process does not know: it stays on disk until it does."""
    go = asyncio.Event()
    spool = tmp_path / "spool"
    async with standing(tmp_path, ScriptedEngine("a", go, "b"), spool=spool) as stand:
        stand.ledger.lost = {"settle"}
        go.set()
        lease, _ = await stand.post(chat("hi"))
        await until("it is on disk", lambda: spooled(spool) == [f"{lease.id}.json"])
        await until("it is settled again", lambda: stand.ledger.count("settle") >= 3)
        stand.ledger.lost = set()
        await until("nothing is left on disk", lambda: not spooled(spool))
    await booked(tmp_path, [lease])


async def test_two_processes_on_one_folder_book_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("functions.gpu.service.SETTLE_WITHIN_S", 20.0)
    go = asyncio.Event()
    spool = tmp_path / "spool"
    async with standing(tmp_path, ScriptedEngine("a", go, "b"), spool=spool) as stand:
        leases = await end_while_away(stand, go)
        await until("all are on disk", lambda: len(spooled(spool)) == REQUESTS)
        async with standing(tmp_path, ScriptedEngine(), spool=spool):  # its ledger is not away
            await until("nothing is left on disk", lambda: not spooled(spool))
        await booked(tmp_path, leases)
        stand.ledger.failing = set()  # the first one settles everything again
    assert spooled(spool) == []
    await booked(tmp_path, leases)


async def test_a_full_spool_takes_no_new_work_until_the_ledger_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("functions.gpu.bookkeeper.MAX_PENDING", 3)
    go = asyncio.Event()
    spool = tmp_path / "spool"
    async with standing(tmp_path, ScriptedEngine("a", go, "b"), spool=spool) as stand:
        leases = await end_while_away(stand, go, count=3)
        stand.ledger.failing = {"settle"}
        _, refused = await stand.post(chat("hi"))
        ready = await stand.http.get("/health/ready")
        stand.ledger.failing = set()
        await until("nothing is left on disk", lambda: not spooled(spool))
        await stand.ready()
        lease, served = await stand.post(chat("hi"))
        await stand.booked(lease)
        records = await stand.ledger.as_ledger().records()
    assert (refused.status_code, ready.status_code, served.status_code) == (503, 503, 200)
    assert refused.json()["error"]["code"] == "ledger_unavailable"
    assert {record.request_id for record in records} == {one.id for one in [*leases, lease]}


async def test_files_that_cannot_be_read_stop_nothing(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    (spool / "req_broken.json").write_bytes(b'{"version":1,"lease":{"id":"req_br')
    (spool / "req_newer.json").write_bytes(b'{"version":99}')
    async with standing(tmp_path, ScriptedEngine("a", "b"), spool=spool) as stand:
        dishonest = await stand.lease()
        kept = await Spool.open(spool)
        await kept.keep(Settlement(dishonest, Usage(10**9), "completed"))
        await kept.close()
    async with standing(tmp_path, ScriptedEngine("a", "b"), spool=spool) as stand:
        lease, response = await stand.post(chat("hi"))
        assert response.status_code == 200
        await stand.booked(lease)
        bad = ["req_broken.json.bad", "req_newer.json.bad", f"{dishonest.id}.json.bad"]
        await until("they are set aside", lambda: spooled(spool) == sorted(bad))
    assert spooled(spool) == sorted(bad)
    await booked(tmp_path, [lease])
