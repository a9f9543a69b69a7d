"""What the contract does not see, on dynalite: old counts go, and a claim near a limit gives back at once."""

import pytest

from penstock.clock import MINUTE
from penstock.ledger import Bound, Caller, Claim, Ledger, Limits, Settled
from penstock.ledger.dynamodb.keys import account_key
from penstock.ledger.dynamodb.table import Table
from penstock.ledger.dynamodb.values import Item
from tests.contract.samples import COST, NOW, USAGE, enrol, lease_of, live

pytestmark = pytest.mark.anyio

EVERY = Limits(
    requests_per_minute=10,
    tokens_per_minute=1_000,
    concurrent_requests=5,
    monthly_budget=10_000_000,
    monthly_tokens=10_000,
)


async def account_item(table: Table) -> Item:
    item = await table.get(account_key("acme"))
    assert item is not None
    return item


def minutes_in(item: Item) -> set[int]:
    """The minutes that the item counts in."""
    return {int(name[1:].partition(".")[0]) for name in item if name[0] in "rt" and name[1:2].isdigit()}


async def settled(ledger: Ledger, caller: Caller, request_id: str, at: int) -> None:
    lease = await live(ledger, caller, lease_of(caller, request_id, at=at))
    assert await ledger.settle(lease, USAGE, "stop", at) is Settled.FIRST


async def test_a_later_reservation_drops_the_counts_of_old_minutes(ledger: Ledger, table: Table) -> None:
    await enrol(ledger, account=EVERY, key=EVERY)
    caller = await ledger.caller("acme-key")
    assert caller is not None
    for minutes in (0, 5, 6):
        await settled(ledger, caller, f"req_{minutes}", NOW + minutes * MINUTE)
    item = await account_item(table)
    assert minutes_in(item) == {NOW // MINUTE + 5, NOW // MINUTE + 6}
    assert item["n202603"] == item["n202603.acme-key"] == 3 * COST


async def test_expire_drops_the_counts_of_old_minutes_where_nobody_reserves(ledger: Ledger, table: Table) -> None:
    caller = await enrol(ledger, account=EVERY, key=EVERY)
    await settled(ledger, caller, "req_1", NOW)
    assert await ledger.expire(NOW + 60 * MINUTE) == []
    item = await account_item(table)
    assert minutes_in(item) == set()
    assert item["m202603"] == USAGE.total_tokens


async def test_a_late_settlement_is_named_until_it_is_told(ledger: Ledger, table: Table) -> None:
    caller = await enrol(ledger, account=EVERY)
    lease = await live(ledger, caller, lease_of(caller))
    dead = lease.deadline + 1
    assert await ledger.expire(dead) == [lease.id]
    assert await ledger.settle(lease, USAGE, "stop", dead) is Settled.LATE
    assert list((await account_item(table))["late"]) == ["1"]
    await ledger.expire(dead + 60 * MINUTE)
    item = await account_item(table)
    assert item["late"] == {}
    assert item["n202603"] == COST
    assert await ledger.settle(lease, USAGE, "stop", dead + 60 * MINUTE) is Settled.REPEATED
    assert (await account_item(table))["n202603"] == COST
    assert (await ledger.audit(dead + 60 * MINUTE)).findings == ()


async def test_a_claim_near_a_limit_gives_back_at_once(ledger: Ledger, table: Table) -> None:
    caller = await enrol(ledger, account=EVERY, key=EVERY)
    lease = await live(ledger, caller, lease_of(caller))
    assert lease.tight
    for _ in "12":
        assert await ledger.claim(lease, "a", Bound(60, 120_000), NOW, lease.deadline) is Claim.CLAIMED
        item = await account_item(table)
        assert (item["m202603"], item["n202603.acme-key"]) == (60, 120_000)
    # The second attempt, when the first is dead, for less.
    later = lease.deadline + 1
    assert await ledger.claim(lease, "b", Bound(50, COST), later, later + MINUTE) is Claim.CLAIMED
    assert (await account_item(table))["m202603"] == 50
    assert not await ledger.checkpoint(lease, "a", USAGE, later)
    assert await ledger.checkpoint(lease, "b", USAGE, later + MINUTE)
    assert await ledger.settle(lease, USAGE, "stop", later) is Settled.FIRST
    assert (await ledger.audit(later)).findings == ()
