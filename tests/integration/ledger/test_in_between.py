"""What others do between two requests of one call to DynamoDB, and what a call leaves that is cut off there."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from penstock.clock import MINUTE
from penstock.ledger import (
    AccessDenied,
    Bound,
    Claim,
    Lease,
    Ledger,
    LedgerUnavailable,
    LimitName,
    Limits,
    Reserved,
    Settled,
    create_ledger,
)
from penstock.ledger.dynamodb import DynamoLedger, table
from penstock.ledger.dynamodb.give_back import shrink
from penstock.ledger.dynamodb.keys import account_key, key_key
from penstock.ledger.dynamodb.patience import Patience
from tests.contract.samples import BOUND, COST, DEADLINE, NOW, USAGE, enrol, lease_of, live, reserved

pytestmark = pytest.mark.anyio

Table = table.Table


@pytest.fixture
async def ledger(dynamodb_url: str) -> AsyncIterator[DynamoLedger]:
    opened = await create_ledger(dynamodb_url)
    assert isinstance(opened, DynamoLedger)
    yield opened
    await opened.close()


def then(monkeypatch: pytest.MonkeyPatch, method: str, key: dict[str, str], act: Callable[[], Awaitable[Any]]) -> None:
    """After the table's next `method` on that item, let something happen, once."""
    original = getattr(Table, method)

    async def wrapped(self: Table, wanted: dict[str, str]) -> Any:
        found = await original(self, wanted)
        if wanted == key:
            monkeypatch.setattr(Table, method, original)
            await act()
        return found

    monkeypatch.setattr(Table, method, wrapped)


@pytest.mark.parametrize("read_first", [key_key("acme-key"), account_key("acme")])
async def test_a_key_that_is_revoked_during_its_look_up_opens_nothing(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, read_first: dict[str, str]
) -> None:
    await enrol(ledger)
    then(monkeypatch, "get", read_first, lambda: ledger.revoke_key("acme-key", NOW - 1))
    caller = await ledger.caller("acme-key")
    assert caller is not None
    with pytest.raises(AccessDenied):
        await ledger.reserve(caller, lease_of(caller))


async def test_a_settlement_that_was_cut_off_is_no_reason_to_refuse(ledger: DynamoLedger) -> None:
    caller = await enrol(ledger, account=Limits(concurrent_requests=1))
    lease = await live(ledger, caller, lease_of(caller))
    await ledger.claim(lease, "a", BOUND, NOW, DEADLINE)
    with pytest.MonkeyPatch.context() as patched:
        # The record and its sum are written; then the process is gone.
        patched.setattr(Table, "update", _gone)
        with pytest.raises(LedgerUnavailable):
            await ledger.settle(lease, USAGE, "stop", NOW)
    assert isinstance(await ledger.reserve(caller, lease_of(caller, "req_2")), Reserved)
    assert await ledger.settle(lease, USAGE, "stop", NOW) is Settled.REPEATED
    assert (await ledger.audit(NOW)).findings == ()


async def _gone(*_: object) -> None:
    raise LedgerUnavailable


async def finish_by_repetition(ledger: DynamoLedger, lease: Lease) -> None:
    assert await ledger.settle(lease, USAGE, "stop", NOW) is Settled.REPEATED


async def finish_by_schedule(ledger: DynamoLedger, _: Lease) -> None:
    for minutes in (1, 20, 40):
        await ledger.expire(NOW + minutes * MINUTE)


@pytest.mark.parametrize("finish", [finish_by_repetition, finish_by_schedule])
async def test_a_late_settlement_that_was_cut_off_is_finished(
    ledger: DynamoLedger, monkeypatch: pytest.MonkeyPatch, finish: Callable[[DynamoLedger, Lease], Awaitable[None]]
) -> None:
    caller = await enrol(ledger, account=Limits(monthly_budget=10**9, monthly_tokens=10**6))
    lease = await live(ledger, caller, lease_of(caller, deadline=NOW - 1))
    assert list(await ledger.expire(NOW)) == [lease.id]
    transact = Table.transact

    async def cut_off(self: Table, *writes: Any) -> None:
        await transact(self, *writes)
        monkeypatch.setattr(Table, "transact", transact)
        raise LedgerUnavailable

    monkeypatch.setattr(Table, "transact", cut_off)
    with pytest.raises(LedgerUnavailable):
        await ledger.settle(lease, USAGE, "stop", NOW)
    await finish(ledger, lease)
    spent = {name: standing.spent for name, standing in (await ledger.standings(caller, NOW)).items()}
    assert spent == {LimitName.MONTHLY_BUDGET: COST, LimitName.MONTHLY_TOKENS: USAGE.total_tokens}
    assert (await ledger.audit(NOW + MINUTE)).findings == ()


async def test_an_earlier_claim_that_comes_late_does_not_set_more_aside(ledger: DynamoLedger) -> None:
    caller = await enrol(ledger, account=Limits(tokens_per_minute=100))
    lease = await live(ledger, caller, lease_of(caller))
    assert await ledger.claim(lease, "a", Bound(80, 160_000), NOW, NOW) is Claim.CLAIMED
    assert await ledger.claim(lease, "b", Bound(60, 120_000), NOW + 1, DEADLINE) is Claim.CLAIMED
    await reserved(ledger, caller, lease_of(caller, "req_2", bound=Bound(40, 80_000)))
    await shrink(ledger._table, lease, Bound(80, 160_000))
    standing = (await ledger.standings(caller, NOW))[LimitName.TOKENS_PER_MINUTE]
    assert (standing.spent, standing.reserved) == (0, 100)


async def test_a_repeated_reservation_gives_back_at_its_claim_as_the_first_one_would(ledger: Ledger) -> None:
    caller = await enrol(ledger, account=Limits(tokens_per_minute=150))
    await reserved(ledger, caller, lease_of(caller))
    again = await live(ledger, caller, lease_of(caller))
    await ledger.claim(again, "a", Bound(50, 100_000), NOW, DEADLINE)
    await reserved(ledger, caller, lease_of(caller, "req_2"))


async def test_a_repeated_reservation_tells_of_the_limits_as_they_are(ledger: Ledger) -> None:
    caller = await enrol(ledger, account=Limits(tokens_per_minute=150))
    lease = await live(ledger, caller, lease_of(caller))
    await ledger.set_account("acme", enabled=True, limits=Limits(tokens_per_minute=500))
    again = await reserved(ledger, caller, lease)
    assert again.standings[LimitName.TOKENS_PER_MINUTE].limit == 500
    await ledger.set_account("acme", enabled=False, limits=Limits())
    with pytest.raises(AccessDenied):
        await ledger.reserve(caller, lease)


async def test_a_lease_that_was_over_when_it_was_reserved_is_closed_like_another(ledger: Ledger) -> None:
    caller = await enrol(ledger)
    lease = await live(ledger, caller, lease_of(caller, deadline=NOW - MINUTE))
    assert await ledger.claim(lease, "a", BOUND, NOW, DEADLINE) is Claim.CLOSED
    assert list(await ledger.expire(NOW)) == [lease.id]


async def test_usage_from_a_day_until_an_earlier_one_is_none(ledger: Ledger) -> None:
    caller = await enrol(ledger)
    await ledger.settle(await live(ledger, caller, lease_of(caller)), USAGE, "stop", NOW)
    assert list(await ledger.usage(since="2026-03-11", until="2026-03-09")) == []


async def test_a_table_that_does_not_answer_is_named(ledger: DynamoLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "Patience", partial(Patience, 0.05))

    async def never(**_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(ledger._table.client, "get_item", never)
    with pytest.raises(LedgerUnavailable, match="did not answer"):
        await ledger.switch()
