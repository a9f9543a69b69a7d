"""The withdrawal of a claim of which nobody knows: on a real ledger, in every state it can be found in."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from functions.gpu import withdrawal as withdrawal_module
from functions.gpu.bookkeeper import Bookkeeper
from functions.gpu.withdrawal import UnknownClaim
from penstock.clock import now_ms
from penstock.ledger import Account, Bound, Caller, Claim, Key, Lease, Limits, Reserved, Usage, open_ledger
from penstock.ticket import CLOCK_SKEW
from tests.integration.gpu.scripted import ScriptedEngine
from tests.integration.gpu.stand import CHAT, chat, standing, until
from tests.integration.gpu.unreliable import UnreliableLedger
from tests.unit.gpu.lease import LEASE

pytestmark = pytest.mark.anyio

TERM = 90_000
BOUND = Bound(100, 40_000)
CALLER = Caller(
    Account("acme", "Acme", 1, limits=Limits(concurrent_requests=5)), Key("key_1", "acme", "x", "0" * 64, 1)
)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(withdrawal_module, "PAUSES_S", (0.001, 0.001, 0.001))


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[UnreliableLedger]:
    """A ledger with one caller."""
    real = await open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    await real.create_account(CALLER.account)
    await real.create_key(CALLER.key)
    yield UnreliableLedger(real)
    await real.close()


async def reserved(ledger: UnreliableLedger, *, age: int = 0) -> Lease:
    """A lease, reserved so many milliseconds ago."""
    now = now_ms()
    lease = replace(LEASE, reserved_at=now - age, deadline=now + 60_000)
    assert isinstance(await ledger.as_ledger().reserve(CALLER, lease), Reserved)
    return lease


async def live(ledger: UnreliableLedger) -> int:
    standings = await ledger.as_ledger().standings(CALLER, now_ms())
    return next(iter(standings.values())).reserved


async def withdraw(ledger: UnreliableLedger, lease: Lease) -> None:
    """Withdraw, and wait for the end of it."""
    bookkeeper = Bookkeeper(ledger.as_ledger())
    bookkeeper.withdraw(UnknownClaim(lease, "ours", BOUND, TERM))
    await until("it is done with", lambda: not bookkeeper._withdrawals._open)
    await bookkeeper.close(20)


async def claim(ledger: UnreliableLedger, lease: Lease, attempt: str) -> None:
    now = now_ms()
    assert await ledger.as_ledger().claim(lease, attempt, BOUND, now, now + TERM) is Claim.CLAIMED


async def test_one_that_took_effect_is_settled_with_nothing(ledger: UnreliableLedger) -> None:
    lease = await reserved(ledger)
    await claim(ledger, lease, "ours")
    await withdraw(ledger, lease)
    record = await ledger.as_ledger().record(lease.id)
    assert record is not None
    assert (record.usage, record.nano, record.outcome, record.provisional) == (Usage(), 0, "error", False)
    assert await live(ledger) == 0


async def test_one_that_did_not_gives_the_lease_back(ledger: UnreliableLedger) -> None:
    lease = await reserved(ledger)
    await withdraw(ledger, lease)
    assert await ledger.as_ledger().record(lease.id) is None
    assert await live(ledger) == 0


async def test_another_attempts_lease_is_left_alone(ledger: UnreliableLedger) -> None:
    lease = await reserved(ledger)
    await claim(ledger, lease, "another")
    await withdraw(ledger, lease)
    assert await live(ledger) == 1
    assert await ledger.as_ledger().checkpoint(lease, "another", Usage(3, 0, 4), now_ms() + TERM)


async def test_what_a_dead_attempt_used_is_not_wiped_out(ledger: UnreliableLedger) -> None:
    """Its claim has run out by the time of the withdrawal: ours could be claimed over it."""
    lease = await reserved(ledger, age=TERM - CLOCK_SKEW)
    now = now_ms()
    await ledger.as_ledger().claim(lease, "another", BOUND, now - 2_000, now - 1_000)
    assert await ledger.as_ledger().checkpoint(lease, "another", Usage(3, 0, 4), now - 1_000)
    await withdraw(ledger, lease)
    assert await ledger.as_ledger().expire(now_ms()) == [lease.id]
    record = await ledger.as_ledger().record(lease.id)
    assert record is not None
    assert record.usage == Usage(3, 0, 4)


async def test_a_settled_lease_stays_as_it_is(ledger: UnreliableLedger) -> None:
    lease = await reserved(ledger)
    await ledger.as_ledger().settle(lease, Usage(3, 0, 4), "completed", now_ms())
    await withdraw(ledger, lease)
    record = await ledger.as_ledger().record(lease.id)
    assert record is not None
    assert (record.usage, record.outcome) == (Usage(3, 0, 4), "completed")


async def test_it_waits_for_the_ledger_for_a_bounded_time(ledger: UnreliableLedger) -> None:
    lease = await reserved(ledger)
    await claim(ledger, lease, "ours")
    ledger.failing = {"release"}
    await withdraw(ledger, lease)
    assert ledger.count("release") == 3
    assert await live(ledger) == 1


async def test_their_number_is_bounded(ledger: UnreliableLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(withdrawal_module, "MAX_OPEN", 2)
    monkeypatch.setattr(withdrawal_module, "PAUSES_S", (3_600.0,))
    bookkeeper = Bookkeeper(ledger.as_ledger())
    for _ in range(5):
        bookkeeper.withdraw(UnknownClaim(LEASE, "ours", BOUND, TERM))
    assert len(bookkeeper._withdrawals._open) == 2
    await bookkeeper.close(20)
    assert not bookkeeper._withdrawals._open


async def test_a_request_that_was_refused_holds_no_slot(tmp_path: Path) -> None:
    """All three tries to claim took effect, and no answer arrived."""
    async with standing(tmp_path, ScriptedEngine("a")) as stand:
        lease, body, headers = await stand.prepare(chat())
        stand.ledger.lost = {"claim"}
        response = await stand.http.post(CHAT, content=body, headers=headers)
        assert response.status_code == 503
        stand.ledger.lost = set()
        record = await stand.booked(lease)
        assert await stand.reserved() == 0
    assert (record.usage, record.nano, record.outcome) == (Usage(), 0, "error")
