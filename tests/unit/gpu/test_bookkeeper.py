"""The bookkeeper: what it does not lose, and what it says when it must."""

import asyncio
from typing import cast

import pytest
import structlog
from structlog.testing import LogCapture
from structlog.typing import EventDict

from functions.gpu import bookkeeper as bookkeeper_module
from functions.gpu.bookkeeper import LAST_PAUSE_S, Bookkeeper
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
    monkeypatch.setattr(bookkeeper_module, "FIRST_PAUSE_S", 0.001)


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
    assert not await kept.release(LEASE)
    await kept.close(0.01)
    assert [line["event"] for line in lines] == ["release_failed", "settlement_lost"]
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
    for _ in range(2):
        full.append(kept.full)
        await kept.settle(LEASE, USAGE, "completed")
    assert [*full, kept.full] == [False, False, True]
    await kept.close(0)


async def test_a_release_is_tried_once() -> None:
    books = Books(LedgerUnavailable("away"))
    kept = keeper(books)
    assert not await kept.release(LEASE)
    assert await kept.release(LEASE)
    assert books.released == ["req_1"]


def test_the_pauses_grow_to_a_bound() -> None:
    pauses = [pause for _, pause in zip(range(40), bookkeeper_module._pauses(), strict=False)]
    assert pauses[0] <= 0.001
    assert max(pauses) <= LAST_PAUSE_S
    assert all(pause >= LAST_PAUSE_S / 2 for pause in pauses[-10:])
