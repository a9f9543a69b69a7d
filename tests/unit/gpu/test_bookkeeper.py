"""The bookkeeper: what it does not lose, and what it says when it must."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import structlog
from structlog.testing import LogCapture
from structlog.typing import EventDict

from functions.gpu import backlog as backlog_module
from functions.gpu import bookkeeper as bookkeeper_module
from functions.gpu.bookkeeper import FORGOTTEN_AFTER, Bookkeeper
from functions.gpu.settlement import Settlement
from functions.gpu.spool import Spool
from penstock.clock import now_ms
from penstock.ledger import Lease, Ledger, LedgerUnavailable, Settled, Usage
from tests.unit.gpu.lease import LEASE

pytestmark = pytest.mark.anyio

USAGE = Usage(prompt_tokens=3, completion_tokens=2)


class Books:
    """A ledger's settle and release, failing as often as it is told."""

    def __init__(self, *failures: Exception, hang: bool = False) -> None:
        self.failures = list(failures)
        self.hang = hang
        self.settled: list[tuple[str, Usage, str]] = []
        self.released: list[str] = []

    async def settle(self, lease: Lease, usage: Usage, outcome: str, now: int) -> Settled:
        await self._fail()
        self.settled.append((lease.id, usage, outcome))
        return Settled.FIRST

    async def release(self, lease: Lease, now: int) -> bool:
        await self._fail()
        self.released.append(lease.id)
        return True

    async def _fail(self) -> None:
        if self.hang:
            await asyncio.Event().wait()
        if self.failures:
            raise self.failures.pop(0)


def keeper(books: Books) -> Bookkeeper:
    return Bookkeeper(cast("Ledger", books))


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[EventDict]:
    """What it logs."""
    capture = LogCapture()
    monkeypatch.setattr(bookkeeper_module, "log", structlog.wrap_logger(None, processors=[capture]))
    return capture.entries


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog_module, "FIRST_PAUSE_S", 0.001)


async def test_it_tries_until_it_works() -> None:
    books = Books(LedgerUnavailable("away"), OSError("gone"), LedgerUnavailable("away"))
    kept = keeper(books)
    await kept.settle(LEASE, USAGE, "completed")
    await kept.close(20)
    assert books.settled == [("req_1", USAGE, "completed")]


async def test_it_does_not_try_again_what_the_ledger_calls_dishonest(lines: list[EventDict]) -> None:
    books = Books(ValueError("over the bound"))
    await keeper(books).settle(LEASE, USAGE, "completed")
    assert books.settled == []
    assert [line["event"] for line in lines] == ["settlement_refused"]


async def test_the_answer_does_not_wait_for_a_ledger_that_hangs(
    monkeypatch: pytest.MonkeyPatch, lines: list[EventDict]
) -> None:
    monkeypatch.setattr(bookkeeper_module, "SETTLE_WITHIN_S", 0.01)
    kept = keeper(Books(hang=True))
    await kept.settle(LEASE, USAGE, "completed")
    assert await kept.release(LEASE) is None
    await kept.close(0.01)
    assert [line["event"] for line in lines] == ["settlement_delayed", "release_failed", "settlement_lost"]
    assert (lines[-1]["prompt_tokens"], lines[-1]["completion_tokens"]) == (3, 2)
    assert {line["request_id"] for line in lines} == {"req_1"}


async def test_a_caller_that_is_cancelled_does_not_take_the_settlement_with_it() -> None:
    books = Books(*[LedgerUnavailable("away")] * 3)
    kept = keeper(books)
    settling = asyncio.create_task(kept.settle(LEASE, USAGE, "cancelled"))
    await asyncio.sleep(0)
    settling.cancel()
    await asyncio.gather(settling, return_exceptions=True)
    await kept.close(20)
    assert books.settled == [("req_1", USAGE, "cancelled")]


async def test_it_says_when_it_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bookkeeper_module, "SETTLE_WITHIN_S", 0.01)
    monkeypatch.setattr(bookkeeper_module, "MAX_PENDING", 2)
    kept = keeper(Books(hang=True))
    full = []
    for number in range(2):
        full.append(kept.full)
        await kept.settle(replace(LEASE, id=f"req_{number}"), USAGE, "completed")
    assert [*full, kept.full] == [False, False, True]
    await kept.close(0)


async def test_a_release_is_tried_once() -> None:
    books = Books(LedgerUnavailable("away"))
    kept = keeper(books)
    assert await kept.release(LEASE) is None
    assert await kept.release(LEASE) is True
    assert books.released == ["req_1"]


async def spooling(books: Books, folder: Path) -> Bookkeeper:
    return Bookkeeper(cast("Ledger", books), await Spool.open(folder))


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


async def test_what_is_settled_at_once_never_touches_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    monkeypatch.setattr(Spool, "_write", lambda _, settlement: written.append(settlement.request_id))
    kept = await spooling(Books(), tmp_path)
    await kept.settle(LEASE, USAGE, "completed")
    await kept.close(20)
    assert written == []
    assert names(tmp_path) == []


async def test_what_is_not_settled_at_once_is_on_disk_until_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[EventDict]
) -> None:
    monkeypatch.setattr(bookkeeper_module, "SETTLE_WITHIN_S", 0.05)
    kept = await spooling(Books(hang=True), tmp_path)
    await kept.settle(replace(LEASE, reserved_at=now_ms()), USAGE, "completed")
    while names(tmp_path) != ["req_1.json"]:
        await asyncio.sleep(0.001)
    await kept.close(0)
    assert [line["event"] for line in lines] == ["settlement_delayed", "settlement_spooled"]

    books = Books()
    again = await spooling(books, tmp_path)
    while not books.settled:
        await asyncio.sleep(0.001)
    await again.close(20)
    assert books.settled == [("req_1", USAGE, "completed")]
    assert names(tmp_path) == []


async def test_the_end_flushes_at_once_whatever_the_pause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bookkeeper_module, "SETTLE_WITHIN_S", 0.01)
    monkeypatch.setattr(backlog_module, "FIRST_PAUSE_S", 3_600.0)
    books = Books(LedgerUnavailable("away"))
    kept = await spooling(books, tmp_path)
    await kept.settle(LEASE, USAGE, "completed")
    await kept.close(20)
    assert books.settled == [("req_1", USAGE, "completed")]
    assert names(tmp_path) == []


async def test_one_that_gets_through_brings_the_others_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bookkeeper_module, "SETTLE_WITHIN_S", 0.01)
    monkeypatch.setattr(backlog_module, "FIRST_PAUSE_S", 3_600.0)
    books = Books(LedgerUnavailable("away"))
    kept = await spooling(books, tmp_path)
    await kept.settle(LEASE, USAGE, "completed")
    await kept.settle(replace(LEASE, id="req_2"), USAGE, "completed")
    while len(books.settled) < 2:
        await asyncio.sleep(0.001)
    assert [request_id for request_id, _, _ in books.settled] == ["req_2", "req_1"]
    await kept.close(0)


async def test_what_the_ledger_will_never_take_is_set_aside(tmp_path: Path, lines: list[EventDict]) -> None:
    books = Books(ValueError("over the bound"))
    kept = await spooling(books, tmp_path)
    await kept.settle(LEASE, USAGE, "completed")
    await kept.close(20)
    assert [line["event"] for line in lines] == ["settlement_refused"]
    assert names(tmp_path) == ["req_1.json.bad"]
    await (await spooling(books, tmp_path)).close(20)
    assert books.settled == []


async def test_a_disk_that_fails_loses_nothing_while_the_process_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bookkeeper_module, "SETTLE_WITHIN_S", 0.01)
    folder = tmp_path / "spool"
    books = Books(*[LedgerUnavailable("away")] * 5)
    kept = await spooling(books, folder)
    folder.rmdir()
    await kept.settle(LEASE, USAGE, "completed")
    await kept.close(20)
    assert books.settled == [("req_1", USAGE, "completed")]


async def leave(folder: Path, *leases: Lease) -> None:
    """Settlements as an earlier process left them."""
    spool = await Spool.open(folder)
    for lease in leases:
        assert await spool.keep(Settlement(lease, USAGE, "completed"))
    await spool.close()


async def test_what_the_ledger_may_have_forgotten_is_not_booked_again(tmp_path: Path, lines: list[EventDict]) -> None:
    old = replace(LEASE, id="req_old", reserved_at=now_ms() - FORGOTTEN_AFTER - 1_000)
    await leave(tmp_path, old, replace(LEASE, reserved_at=now_ms() - FORGOTTEN_AFTER + 60_000))
    books = Books()
    kept = await spooling(books, tmp_path)
    while not (books.settled and "req_old.json.bad" in names(tmp_path)):
        await asyncio.sleep(0.001)
    await kept.close(20)
    assert [request_id for request_id, _, _ in books.settled] == ["req_1"]
    assert names(tmp_path) == ["req_old.json.bad"]
    assert {line["event"] for line in lines} == {"settlement_too_old", "settlement_recovered"}


async def test_more_than_may_be_pending_is_taken_up_piece_by_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await leave(tmp_path, *[replace(LEASE, id=f"req_{number}", reserved_at=now_ms()) for number in range(7)])
    monkeypatch.setattr(bookkeeper_module, "MAX_PENDING", 2)
    books = Books()
    kept = await spooling(books, tmp_path)
    pending = 0
    while len(books.settled) < 7:
        pending = max(pending, len(kept._backlog))
        await asyncio.sleep(0)
    assert pending == 2
    assert [request_id for request_id, _, _ in books.settled] == [f"req_{number}" for number in range(7)]
    await kept.close(20)
    assert names(tmp_path) == []
