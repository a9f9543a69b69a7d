"""Settlements and expiry: every request is booked once, whatever died on the way."""

from dataclasses import replace

import pytest

from penstock.clock import MINUTE
from penstock.ledger import (
    Bound,
    Lease,
    Ledger,
    LimitName,
    Limits,
    Settled,
    Standing,
    Usage,
    UsageRecord,
    UsageRow,
)
from tests.contract.samples import BOUND, COST, DEADLINE, NOW, PRICE, USAGE, enrol, lease_of, live, refused, reserved

pytestmark = pytest.mark.anyio

EVERY = Limits(
    requests_per_minute=10,
    tokens_per_minute=1_000,
    concurrent_requests=5,
    monthly_budget=1_000_000,
    monthly_tokens=900,
)
HALF = Usage(prompt_tokens=20, cached_prompt_tokens=10, completion_tokens=15)
HALF_COST = 10 * 1_000 + 10 * 100 + 15 * 2_000


def booked(lease: Lease, usage: Usage, *, outcome: str = "stop", provisional: bool = False) -> UsageRecord:
    return UsageRecord(
        request_id=lease.id,
        account_id=lease.account_id,
        key_id=lease.key_id,
        model="demo",
        day="2026-03-10",
        usage=usage,
        nano=usage.cost(PRICE),
        price_version="2026-01-01",
        outcome=outcome,
        provisional=provisional,
        reserved_at=NOW,
        settled_at=NOW,
    )


def row_of(lease: Lease, usage: Usage) -> UsageRow:
    return UsageRow(lease.account_id, lease.key_id, "demo", "2026-03-10", 1, usage, usage.cost(PRICE))


async def spent_is(ledger: Ledger, lease: Lease, usage: Usage, *, at: int = NOW) -> None:
    """The sums, and the windows at that time, hold exactly this usage, and nothing is set aside.

    Where the ledger was told of a later time, its minute may be forgotten, and `at` is that time.
    """
    assert list(await ledger.usage()) == [row_of(lease, usage)]
    caller = await ledger.caller(lease.key_id)
    assert caller is not None
    this_minute = at // MINUTE == lease.minute
    assert await ledger.standings(caller, at) == {
        LimitName.MONTHLY_BUDGET: Standing(1_000_000, usage.cost(PRICE), 0),
        LimitName.MONTHLY_TOKENS: Standing(900, usage.total_tokens, 0),
        LimitName.TOKENS_PER_MINUTE: Standing(1_000, usage.total_tokens if this_minute else 0, 0),
        LimitName.REQUESTS_PER_MINUTE: Standing(10, 1 if this_minute else 0, 0),
        LimitName.CONCURRENT_REQUESTS: Standing(5, 0, 0),
    }


async def live_lease(ledger: Ledger, *, claimed: Bound | None = BOUND) -> Lease:
    """A lease that was reserved, and claimed by `a` where a bound is given."""
    caller = await enrol(ledger, account=EVERY, key=EVERY)
    lease = await live(ledger, caller, lease_of(caller))
    if claimed is not None:
        await ledger.claim(lease, "a", claimed, NOW, DEADLINE)
    return lease


@pytest.mark.parametrize("claimed", [None, BOUND])
async def test_the_first_settlement_books_and_gives_the_rest_back(ledger: Ledger, claimed: Bound | None) -> None:
    lease = await live_lease(ledger, claimed=claimed)
    assert await ledger.record(lease.id) is None
    assert await ledger.settle(lease, USAGE, "stop", NOW) is Settled.FIRST
    record = await ledger.record(lease.id)
    assert record == booked(lease, USAGE)
    assert record.nano == COST
    await spent_is(ledger, lease, USAGE)


async def test_a_repeated_settlement_changes_nothing(ledger: Ledger) -> None:
    lease = await live_lease(ledger)
    await ledger.settle(lease, USAGE, "stop", NOW)
    assert await ledger.settle(lease, USAGE, "stop", NOW) is Settled.REPEATED
    assert await ledger.settle(lease, HALF, "cancelled", NOW + MINUTE) is Settled.REPEATED
    assert await ledger.record(lease.id) == booked(lease, USAGE)
    await spent_is(ledger, lease, USAGE)
    assert list(await ledger.expire(DEADLINE + 1)) == []


async def test_nothing_used_is_a_record_too(ledger: Ledger) -> None:
    lease = await live_lease(ledger)
    assert await ledger.settle(lease, Usage(), "failed", NOW) is Settled.FIRST
    assert await ledger.record(lease.id) == booked(lease, Usage(), outcome="failed")
    await spent_is(ledger, lease, Usage())


async def test_a_settlement_may_use_all_that_is_set_aside_and_no_more(ledger: Ledger) -> None:
    lease = await live_lease(ledger, claimed=Bound(tokens=50, nano=COST))
    for dishonest in (replace(USAGE, completion_tokens=31), replace(USAGE, cached_prompt_tokens=9)):
        with pytest.raises(ValueError, match="set aside"):
            await ledger.settle(lease, dishonest, "stop", NOW)
    assert await ledger.record(lease.id) is None
    assert await ledger.settle(lease, USAGE, "stop", NOW) is Settled.FIRST


async def test_an_unclaimed_lease_is_held_to_its_own_bound(ledger: Ledger) -> None:
    lease = await live_lease(ledger, claimed=None)
    with pytest.raises(ValueError, match="set aside"):
        await ledger.settle(lease, Usage(0, 0, 101), "stop", NOW)
    assert await ledger.settle(lease, Usage(0, 0, 100), "stop", NOW) is Settled.FIRST


async def test_usage_belongs_to_the_day_minute_and_month_of_the_reservation(ledger: Ledger) -> None:
    lease = await live_lease(ledger)
    much_later = NOW + 40 * 24 * 60 * MINUTE
    assert await ledger.settle(lease, USAGE, "stop", much_later) is Settled.FIRST
    record = await ledger.record(lease.id)
    assert record == replace(booked(lease, USAGE), settled_at=much_later)
    caller = await ledger.caller(lease.key_id)
    assert caller is not None
    march = await ledger.standings(caller, NOW)
    assert march[LimitName.MONTHLY_BUDGET] == Standing(1_000_000, COST, 0)
    assert march[LimitName.MONTHLY_TOKENS] == Standing(900, 50, 0)
    later = await ledger.standings(caller, much_later)
    assert {standing.spent for standing in later.values()} == {0}


async def test_expire_closes_a_claimed_lease_at_its_last_checkpoint(ledger: Ledger) -> None:
    lease = await live_lease(ledger)
    await ledger.checkpoint(lease, "a", HALF, DEADLINE)
    assert list(await ledger.expire(DEADLINE)) == []
    assert list(await ledger.expire(DEADLINE + 1)) == [lease.id]
    assert list(await ledger.expire(DEADLINE + 1)) == []
    lost = replace(booked(lease, HALF, outcome="lost", provisional=True), settled_at=DEADLINE + 1)
    assert await ledger.record(lease.id) == lost
    assert lost.nano == HALF_COST
    await spent_is(ledger, lease, HALF, at=DEADLINE + 1)
    assert not await ledger.checkpoint(lease, "a", USAGE, DEADLINE + MINUTE)


async def test_a_lease_lost_before_its_first_checkpoint_used_nothing(ledger: Ledger) -> None:
    lease = await live_lease(ledger)
    await ledger.expire(DEADLINE + 1)
    await spent_is(ledger, lease, Usage(), at=DEADLINE + 1)


async def test_expire_closes_an_unclaimed_lease_without_a_record(ledger: Ledger) -> None:
    lease = await live_lease(ledger, claimed=None)
    assert list(await ledger.expire(DEADLINE + 1)) == [lease.id]
    assert await ledger.record(lease.id) is None
    assert list(await ledger.usage()) == []
    caller = await ledger.caller(lease.key_id)
    assert caller is not None
    assert {one.remaining - one.limit for one in (await ledger.standings(caller, DEADLINE + 1)).values()} == {0}


@pytest.mark.parametrize("checkpointed", [Usage(), HALF, USAGE])
async def test_a_settlement_after_expiry_adds_the_difference_once(ledger: Ledger, checkpointed: Usage) -> None:
    lease = await live_lease(ledger)
    await ledger.checkpoint(lease, "a", checkpointed, DEADLINE)
    await ledger.expire(DEADLINE + 1)
    assert await ledger.settle(lease, USAGE, "stop", NOW) is Settled.LATE
    assert await ledger.record(lease.id) == booked(lease, USAGE)
    await spent_is(ledger, lease, USAGE, at=DEADLINE + 1)
    assert await ledger.settle(lease, USAGE, "stop", NOW) is Settled.REPEATED
    assert list(await ledger.expire(DEADLINE + MINUTE)) == []
    await spent_is(ledger, lease, USAGE, at=DEADLINE + MINUTE)


async def test_a_late_settlement_below_the_checkpoint_gives_back(ledger: Ledger) -> None:
    # A second attempt may have needed fewer tokens than the first one's checkpoint.
    lease = await live_lease(ledger)
    await ledger.checkpoint(lease, "a", USAGE, DEADLINE)
    await ledger.expire(DEADLINE + 1)
    assert await ledger.settle(lease, HALF, "stop", NOW) is Settled.LATE
    await spent_is(ledger, lease, HALF, at=DEADLINE + 1)


async def test_a_late_settlement_is_held_to_the_claimed_bound(ledger: Ledger) -> None:
    lease = await live_lease(ledger, claimed=Bound(tokens=50, nano=COST))
    await ledger.expire(DEADLINE + 1)
    with pytest.raises(ValueError, match="set aside"):
        await ledger.settle(lease, replace(USAGE, completion_tokens=31), "stop", NOW)
    assert await ledger.settle(lease, USAGE, "stop", NOW) is Settled.LATE


@pytest.mark.parametrize("end", ["released", "expired"])
async def test_a_settlement_of_an_unclaimed_lease_that_was_closed_is_late(ledger: Ledger, end: str) -> None:
    lease = await live_lease(ledger, claimed=None)
    at = NOW if end == "released" else DEADLINE + 1
    await (ledger.release(lease, at) if end == "released" else ledger.expire(at))
    assert await ledger.settle(lease, USAGE, "stop", NOW) is Settled.LATE
    assert await ledger.record(lease.id) == booked(lease, USAGE)
    await spent_is(ledger, lease, USAGE, at=at)
    assert await ledger.settle(lease, USAGE, "stop", NOW) is Settled.REPEATED


async def test_a_late_settlement_is_booked_though_the_budget_was_given_to_others(ledger: Ledger) -> None:
    caller = await enrol(ledger, account=Limits(monthly_budget=200_000, monthly_tokens=100))
    lost = await live(ledger, caller, lease_of(caller))
    await ledger.claim(lost, "a", BOUND, NOW, DEADLINE)
    await ledger.expire(DEADLINE + 1)
    other = lease_of(caller, "req_2")
    await reserved(ledger, caller, other)
    assert await ledger.settle(lost, USAGE, "stop", NOW) is Settled.LATE
    standings = await ledger.standings(caller, NOW)
    assert standings[LimitName.MONTHLY_BUDGET] == Standing(200_000, COST, 200_000)
    assert standings[LimitName.MONTHLY_TOKENS] == Standing(100, 50, 100)
    assert {one.remaining for one in standings.values()} == {0}
    await refused(ledger, caller, lease_of(caller, "req_3", bound=Bound(1, 1)))


async def test_a_reservation_of_a_settled_lease_does_not_revive_it(ledger: Ledger) -> None:
    lease = await live_lease(ledger)
    await ledger.settle(lease, USAGE, "stop", NOW)
    caller = await ledger.caller(lease.key_id)
    assert caller is not None
    await ledger.reserve(caller, lease)
    assert await ledger.claim(lease, "b", BOUND, NOW, DEADLINE) == "closed"
    assert await ledger.settle(lease, USAGE, "stop", NOW) is Settled.REPEATED
    while await ledger.expire(DEADLINE + 1):
        pass
    assert await ledger.record(lease.id) == booked(lease, USAGE)
    assert list(await ledger.usage()) == [row_of(lease, USAGE)]


async def test_expire_closes_a_bounded_number_and_then_the_rest(ledger: Ledger) -> None:
    caller = await enrol(ledger)
    ids = {f"req_{number}" for number in range(250)}
    for request_id in ids:
        await reserved(ledger, caller, lease_of(caller, request_id))
    living = await live(ledger, caller, lease_of(caller, "living", deadline=DEADLINE + MINUTE))
    closed: list[str] = []
    while batch := await ledger.expire(DEADLINE + 1):
        assert len(batch) < len(ids)
        closed += batch
    assert len(closed) == len(ids)
    assert set(closed) == ids
    assert await ledger.release(living, NOW)
