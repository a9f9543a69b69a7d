"""Many at once: limits hold to the last unit, and exactly one wins what only one may have."""

import asyncio
from collections import Counter

import pytest

from penstock.ledger import Bound, Claim, Ledger, Limits, Refused, Reserved, Settled
from tests.contract.samples import BOUND, COST, DEADLINE, NOW, USAGE, enrol, lease_of, live, reserved

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "limits",
    [
        Limits(monthly_budget=1_499_999),
        Limits(tokens_per_minute=799),
        Limits(requests_per_minute=7),
        Limits(concurrent_requests=7),
        Limits(monthly_tokens=799),
    ],
)
async def test_200_concurrent_reservations_never_pass_a_limit(ledger: Ledger, limits: Limits) -> None:
    caller = await enrol(ledger, account=limits)
    outcomes = await asyncio.gather(
        *(ledger.reserve(caller, lease_of(caller, f"req_{number}")) for number in range(200))
    )
    assert Counter(map(type, outcomes)) == {Reserved: 7, Refused: 193}
    (standing,) = (await ledger.standings(caller, NOW)).values()
    assert standing.reserved <= standing.limit
    assert standing.remaining < max(BOUND.nano if limits.monthly_budget else 0, BOUND.tokens)


async def test_the_same_reservation_20_times_at_once_is_one(ledger: Ledger) -> None:
    caller = await enrol(ledger, account=Limits(concurrent_requests=1))
    await asyncio.gather(*(reserved(ledger, caller, lease_of(caller)) for _ in range(20)))
    (standing,) = (await ledger.standings(caller, NOW)).values()
    assert standing.reserved == 1


async def test_of_20_concurrent_claims_one_is_claimed(ledger: Ledger) -> None:
    caller = await enrol(ledger)
    lease = await live(ledger, caller, lease_of(caller))
    claims = await asyncio.gather(
        *(ledger.claim(lease, f"attempt {number}", BOUND, NOW, DEADLINE) for number in range(20))
    )
    assert Counter(claims) == {Claim.CLAIMED: 1, Claim.TAKEN: 19}


async def test_of_20_concurrent_settlements_one_is_the_first(ledger: Ledger) -> None:
    caller = await enrol(ledger)
    lease = await live(ledger, caller, lease_of(caller))
    settled = await asyncio.gather(*(ledger.settle(lease, USAGE, "stop", NOW) for _ in range(20)))
    assert Counter(settled) == {Settled.FIRST: 1, Settled.REPEATED: 19}
    assert [(row.requests, row.nano) for row in await ledger.usage()] == [(1, COST)]


async def test_of_20_concurrent_late_settlements_one_adds_the_difference(ledger: Ledger) -> None:
    caller = await enrol(ledger)
    lease = await live(ledger, caller, lease_of(caller))
    await ledger.claim(lease, "a", BOUND, NOW, DEADLINE)
    closed = await asyncio.gather(*(ledger.expire(DEADLINE + 1) for _ in range(20)))
    assert [request_id for ids in closed for request_id in ids] == [lease.id]
    settled = await asyncio.gather(*(ledger.settle(lease, USAGE, "stop", NOW) for _ in range(20)))
    assert Counter(settled) == {Settled.LATE: 1, Settled.REPEATED: 19}
    assert [(row.requests, row.nano) for row in await ledger.usage()] == [(1, COST)]


async def test_a_lease_is_either_claimed_or_released(ledger: Ledger) -> None:
    caller = await enrol(ledger)
    for number in range(10):
        lease = await live(ledger, caller, lease_of(caller, f"req_{number}"))
        claim, released = await asyncio.gather(
            ledger.claim(lease, "a", BOUND, NOW, DEADLINE), ledger.release(lease, NOW)
        )
        assert (claim, released) in {(Claim.CLAIMED, False), (Claim.CLOSED, True)}


async def test_whole_requests_at_once_add_up(ledger: Ledger) -> None:
    caller = await enrol(ledger)

    async def request(number: int) -> None:
        lease = await live(ledger, caller, lease_of(caller, f"req_{number}"))
        assert await ledger.claim(lease, "a", Bound(50, COST), NOW, DEADLINE) is Claim.CLAIMED
        assert await ledger.settle(lease, USAGE, "stop", NOW) is Settled.FIRST

    await asyncio.gather(*(request(number) for number in range(30)))
    assert [(row.requests, row.nano) for row in await ledger.usage()] == [(30, 30 * COST)]
