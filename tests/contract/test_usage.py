"""Usage: sums by account, key, model and day, and the records behind them."""

from datetime import UTC, datetime

import pytest

from penstock.clock import SECOND
from penstock.ledger import Ledger, Settled, Usage, UsageRow
from tests.contract.samples import COST, NOW, USAGE, enrol, lease_of, live

pytestmark = pytest.mark.anyio

NEXT_DAY = int(datetime(2026, 3, 11, 0, 0, tzinfo=UTC).timestamp()) * 1_000
TWICE = Usage(40, 20, 60)


async def spend(ledger: Ledger, name: str, request_id: str, *, at: int = NOW, model: str = "demo") -> None:
    """Reserve and settle one request of the account's key."""
    caller = await ledger.caller(f"{name}-key") or await enrol(ledger, name=name)
    lease = await live(ledger, caller, lease_of(caller, request_id, at=at, model=model))
    await ledger.settle(lease, USAGE, "stop", at + SECOND)


async def test_an_empty_ledger_has_no_usage(ledger: Ledger) -> None:
    assert list(await ledger.usage()) == []
    assert list(await ledger.records()) == []
    assert await ledger.record("req_1") is None


async def test_usage_is_added_up_by_account_key_model_and_day(ledger: Ledger) -> None:
    await spend(ledger, "acme", "req_1")
    await spend(ledger, "acme", "req_2", at=NEXT_DAY - 1)
    await spend(ledger, "acme", "req_3", model="other")
    await spend(ledger, "acme", "req_4", at=NEXT_DAY)
    await spend(ledger, "bolt", "req_5")
    expected = [
        UsageRow("acme", "acme-key", "demo", "2026-03-10", 2, TWICE, 2 * COST),
        UsageRow("acme", "acme-key", "other", "2026-03-10", 1, USAGE, COST),
        UsageRow("bolt", "bolt-key", "demo", "2026-03-10", 1, USAGE, COST),
        UsageRow("acme", "acme-key", "demo", "2026-03-11", 1, USAGE, COST),
    ]
    assert sorted(await ledger.usage(), key=str) == sorted(expected, key=str)


async def test_usage_can_be_asked_for_an_account_a_key_and_days(ledger: Ledger) -> None:
    await spend(ledger, "acme", "req_1")
    await spend(ledger, "acme", "req_2", at=NEXT_DAY)
    await spend(ledger, "bolt", "req_3")

    async def days(account_id: str | None = None, **rest: str) -> list[tuple[str, str]]:
        return sorted((row.account_id, row.day) for row in await ledger.usage(account_id=account_id, **rest))

    both = [("acme", "2026-03-10"), ("acme", "2026-03-11")]
    assert await days("acme") == both
    assert await days(key_id="acme-key") == both
    assert await days("acme", key_id="bolt-key") == []
    assert await days("acme", since="2026-03-11") == both[1:]
    assert await days("acme", until="2026-03-10") == both[:1]
    assert await days("acme", since="2026-03-10", until="2026-03-11") == both
    assert await days(since="2026-03-12") == []


async def test_records_come_newest_first_and_as_many_as_asked(ledger: Ledger) -> None:
    for number in range(3):
        await spend(ledger, "acme", f"req_{number}", at=NOW + number * SECOND)
    await spend(ledger, "bolt", "req_b", at=NOW + SECOND // 2)
    records = await ledger.records()
    assert [record.request_id for record in records] == ["req_2", "req_1", "req_b", "req_0"]
    assert [record.request_id for record in await ledger.records(limit=2)] == ["req_2", "req_1"]
    assert [record.request_id for record in await ledger.records(account_id="bolt")] == ["req_b"]
    assert list(await ledger.records(account_id="nobody")) == []
    assert await ledger.record("req_b") == records[2]


async def test_the_sums_are_those_of_the_records(ledger: Ledger) -> None:
    for number in range(4):
        await spend(ledger, "acme", f"req_{number}", at=NOW + number)
    (row,) = await ledger.usage()
    records = await ledger.records()
    assert row.requests == len(records)
    assert row.nano == sum(record.nano for record in records)
    assert row.usage.total_tokens == sum(record.usage.total_tokens for record in records)


async def test_usage_outlives_the_key(ledger: Ledger) -> None:
    await spend(ledger, "acme", "req_1")
    before = await ledger.usage()
    caller = await ledger.caller("acme-key")
    assert caller is not None
    lease = await live(ledger, caller, lease_of(caller, "req_2"))
    await ledger.revoke_key("acme-key", NOW)
    assert await ledger.usage() == before
    assert await ledger.settle(lease, USAGE, "stop", NOW) is Settled.FIRST
    assert [row.nano for row in await ledger.usage()] == [2 * COST]
