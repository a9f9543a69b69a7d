"""Leases that stand for several requests, as the slices of a batch do: each counts them all, and once."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from penstock.clock import MINUTE
from penstock.ledger import (
    Bound,
    Caller,
    Lease,
    Ledger,
    LimitName,
    Limits,
    Refused,
    Settled,
    Standing,
    Usage,
)
from tests.contract.samples import BOUND, COST, DEADLINE, NOW, USAGE, enrol, lease_of, live, refused

pytestmark = pytest.mark.anyio

REQUESTS = 64
EVERY = Limits(
    requests_per_minute=100,
    tokens_per_minute=1_000,
    concurrent_requests=5,
    monthly_budget=1_000_000,
    monthly_tokens=900,
)


@pytest.fixture
async def caller(ledger: Ledger) -> Caller:
    return await enrol(ledger, account=EVERY, key=EVERY)


def slice_of(caller: Caller, name: str = "req_1") -> Lease:
    return lease_of(caller, name, requests=REQUESTS)


async def counted(ledger: Ledger, caller: Caller) -> tuple[Standing, Standing]:
    """What is counted of requests: of the minute, and at once."""
    standings = await ledger.standings(caller, NOW)
    return standings[LimitName.REQUESTS_PER_MINUTE], standings[LimitName.CONCURRENT_REQUESTS]


async def nothing_is_counted(ledger: Ledger, caller: Caller) -> None:
    assert await counted(ledger, caller) == (Standing(100, 0, 0), Standing(5, 0, 0))
    assert {one.spent + one.reserved for one in (await ledger.standings(caller, NOW)).values()} == {0}
    assert list(await ledger.usage()) == []
    assert (await ledger.audit(NOW)).findings == ()


async def booked_once(ledger: Ledger, caller: Caller, usage: Usage = USAGE) -> None:
    """The lease's requests and its usage are in the record, the sums and the limits, and nothing is set aside."""
    record = await ledger.record("req_1")
    assert record is not None
    assert (record.requests, record.usage) == (REQUESTS, usage)
    assert [(row.requests, row.usage) for row in await ledger.usage()] == [(REQUESTS, usage)]
    standings = await ledger.standings(caller, NOW)
    assert {name: (one.spent, one.reserved) for name, one in standings.items()} == {
        LimitName.REQUESTS_PER_MINUTE: (REQUESTS, 0),
        LimitName.TOKENS_PER_MINUTE: (usage.total_tokens, 0),
        LimitName.CONCURRENT_REQUESTS: (0, 0),
        LimitName.MONTHLY_BUDGET: (usage.cost(slice_of(caller).price), 0),
        LimitName.MONTHLY_TOKENS: (usage.total_tokens, 0),
    }
    assert (await ledger.audit(NOW)).findings == ()


async def test_a_reservation_counts_every_request_of_the_minute_and_one_at_once(ledger: Ledger, caller: Caller) -> None:
    lease = await live(ledger, caller, slice_of(caller))
    assert lease.requests == REQUESTS
    assert await counted(ledger, caller) == (Standing(100, 0, REQUESTS), Standing(5, 0, 1))
    assert await live(ledger, caller, slice_of(caller)) == lease
    assert await counted(ledger, caller) == (Standing(100, 0, REQUESTS), Standing(5, 0, 1))
    assert (await ledger.audit(NOW)).findings == ()


@pytest.mark.parametrize("scope", ["account", "key"])
async def test_what_is_over_the_requests_of_a_minute_is_refused(ledger: Ledger, scope: str) -> None:
    limits = Limits(requests_per_minute=100)
    of_account, of_key = (limits, Limits()) if scope == "account" else (Limits(), limits)
    caller = await enrol(ledger, account=of_account, key=of_key)
    await live(ledger, caller, slice_of(caller))
    refusal = await refused(ledger, caller, slice_of(caller, "req_2"))
    assert refusal == Refused(
        LimitName.REQUESTS_PER_MINUTE, scope, Standing(100, 0, REQUESTS), REQUESTS, refusal.retry_at
    )
    assert not refusal.hopeless
    assert refusal.retry_at == NOW // MINUTE * MINUTE + MINUTE
    await live(ledger, caller, lease_of(caller, "req_3", requests=100 - REQUESTS))
    assert (await refused(ledger, caller, lease_of(caller, "req_4"))).requested == 1


async def test_more_requests_than_a_minute_has_are_hopeless(ledger: Ledger, caller: Caller) -> None:
    refusal = await refused(ledger, caller, lease_of(caller, requests=101))
    assert (refusal.limit, refusal.requested, refusal.hopeless) == (LimitName.REQUESTS_PER_MINUTE, 101, True)
    await nothing_is_counted(ledger, caller)


@pytest.mark.parametrize("claimed", [True, False])
async def test_a_settlement_books_them_once(ledger: Ledger, caller: Caller, *, claimed: bool) -> None:
    lease = await live(ledger, caller, slice_of(caller))
    if claimed:
        await ledger.claim(lease, "a", Bound(50, COST), NOW, DEADLINE)
    assert await ledger.settle(lease, USAGE, "completed", NOW) is Settled.FIRST
    assert await ledger.settle(lease, USAGE, "completed", NOW) is Settled.REPEATED
    await booked_once(ledger, caller)
    assert not await ledger.release(lease, NOW)
    assert list(await ledger.expire(DEADLINE + 1)) == []
    await booked_once(ledger, caller)


async def test_a_settlement_may_be_for_fewer_than_were_reserved(ledger: Ledger, caller: Caller) -> None:
    lease = replace(await live(ledger, caller, slice_of(caller)), requests=7)
    assert await ledger.settle(lease, USAGE, "completed", NOW) is Settled.FIRST
    assert await ledger.settle(lease, USAGE, "completed", NOW) is Settled.REPEATED
    assert await counted(ledger, caller) == (Standing(100, 7, 0), Standing(5, 0, 0))
    assert [row.requests for row in await ledger.usage()] == [7]
    record = await ledger.record("req_1")
    assert record is not None
    assert record.requests == 7
    assert (await ledger.audit(NOW)).findings == ()


@pytest.mark.parametrize("fewer", [7, 1])
@pytest.mark.parametrize("lost", [True, False])
async def test_that_is_so_after_a_claim_too(ledger: Ledger, caller: Caller, *, lost: bool, fewer: int) -> None:
    lease = await live(ledger, caller, slice_of(caller))
    await ledger.claim(lease, "a", BOUND, NOW, NOW + 1_000)
    if lost:
        await ledger.expire(NOW + 1_001)
    await ledger.settle(replace(lease, requests=fewer), USAGE, "completed", NOW + 2_000)
    assert await counted(ledger, caller) == (Standing(100, fewer, 0), Standing(5, 0, 0))
    assert [row.requests for row in await ledger.usage()] == [fewer]
    record = await ledger.record("req_1")
    assert record is not None
    assert record.requests == fewer
    assert (await ledger.audit(NOW)).findings == ()


async def test_a_release_gives_them_all_back(ledger: Ledger, caller: Caller) -> None:
    lease = await live(ledger, caller, slice_of(caller))
    assert await ledger.release(lease, NOW)
    assert not await ledger.release(lease, NOW)
    await nothing_is_counted(ledger, caller)


async def _release(ledger: Ledger, lease: Lease) -> None:
    assert await ledger.release(lease, NOW)


async def _let_it_die(ledger: Ledger, lease: Lease) -> None:
    # Within the minute of its reservation, which is still counted.
    assert list(await ledger.expire(lease.deadline + 1)) == [lease.id]


@pytest.mark.parametrize("close", [_release, _let_it_die])
async def test_what_was_closed_unclaimed_and_is_settled_after_all_is_booked_once(
    ledger: Ledger, caller: Caller, close: Callable[[Ledger, Lease], Awaitable[None]]
) -> None:
    lease = await live(ledger, caller, lease_of(caller, requests=REQUESTS, deadline=NOW + 1_000))
    await close(ledger, lease)
    await nothing_is_counted(ledger, caller)
    assert await ledger.settle(lease, USAGE, "completed", NOW + 2_000) is Settled.LATE
    await booked_once(ledger, caller)
    assert await ledger.settle(lease, USAGE, "completed", NOW + 3_000) is Settled.REPEATED
    assert not await ledger.release(lease, NOW + 3_000)
    assert list(await ledger.expire(DEADLINE)) == []
    await booked_once(ledger, caller)


async def test_a_claimed_one_that_died_is_booked_once_and_corrected_late(ledger: Ledger, caller: Caller) -> None:
    lease = await live(ledger, caller, slice_of(caller))
    await ledger.claim(lease, "a", BOUND, NOW, NOW + 1_000)
    half = Usage(20, 10, 15)
    await ledger.checkpoint(lease, "a", half, NOW + 1_000)
    assert list(await ledger.expire(NOW + 1_001)) == [lease.id]
    await booked_once(ledger, caller, half)
    assert await ledger.settle(lease, USAGE, "completed", NOW + 2_000) is Settled.LATE
    await booked_once(ledger, caller)


async def test_what_was_never_reserved_and_is_released_changes_no_count(ledger: Ledger, caller: Caller) -> None:
    await live(ledger, caller, lease_of(caller, "req_other", requests=2))
    before = await ledger.standings(caller, NOW)
    await ledger.release(slice_of(caller), NOW)
    assert await ledger.standings(caller, NOW) == before
    assert await ledger.record("req_1") is None
    assert list(await ledger.usage()) == []


async def test_what_was_released_before_it_was_reserved_is_let_go_of_in_the_end(ledger: Ledger, caller: Caller) -> None:
    """The messages may overtake one another. Whatever became of the lease, it may be settled, and counts once."""
    lease = lease_of(caller, requests=REQUESTS, deadline=NOW + 1_000)
    await ledger.release(lease, NOW)
    await ledger.reserve(caller, lease)
    await ledger.expire(lease.deadline + 1)
    await nothing_is_counted(ledger, caller)
    assert await ledger.settle(lease, USAGE, "completed", NOW) is Settled.LATE
    await booked_once(ledger, caller)


async def test_a_minute_counts_what_was_used_and_what_is_under_way(ledger: Ledger, caller: Caller) -> None:
    first = await live(ledger, caller, lease_of(caller, "req_1", requests=30))
    await live(ledger, caller, lease_of(caller, "req_2", requests=20))
    await ledger.settle(first, USAGE, "completed", NOW)
    assert await counted(ledger, caller) == (Standing(100, 30, 20), Standing(5, 0, 1))
    await refused(ledger, caller, lease_of(caller, "req_3", requests=51))
    await live(ledger, caller, lease_of(caller, "req_4", requests=50))
