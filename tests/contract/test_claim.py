"""Claims, checkpoints and releases: one lease, one generation."""

import pytest

from penstock.clock import MINUTE
from penstock.ledger import Bound, Claim, Ledger, LimitName, Limits, Settled, Usage
from tests.contract.samples import BOUND, DEADLINE, NOW, USAGE, enrol, lease_of, live, reserved

pytestmark = pytest.mark.anyio

SMALLER = Bound(tokens=60, nano=90_000)
EVERY = Limits(
    requests_per_minute=10,
    tokens_per_minute=1_000,
    concurrent_requests=5,
    monthly_budget=1_000_000,
    monthly_tokens=900,
)


async def test_a_claim_shrinks_what_is_set_aside(ledger: Ledger) -> None:
    caller = await enrol(ledger, account=EVERY, key=EVERY)
    lease = await live(ledger, caller, lease_of(caller))
    assert await ledger.claim(lease, "a", SMALLER, NOW, DEADLINE) is Claim.CLAIMED
    standings = await ledger.standings(caller, NOW)
    assert standings[LimitName.TOKENS_PER_MINUTE].reserved == 60
    assert standings[LimitName.MONTHLY_BUDGET].reserved == 90_000
    assert standings[LimitName.MONTHLY_TOKENS].reserved == 60
    assert standings[LimitName.REQUESTS_PER_MINUTE].reserved == 1
    assert standings[LimitName.CONCURRENT_REQUESTS].reserved == 1


async def test_what_a_claim_gives_back_can_be_reserved(ledger: Ledger) -> None:
    caller = await enrol(ledger, account=Limits(tokens_per_minute=140, monthly_tokens=140))
    lease = await live(ledger, caller, lease_of(caller))
    await ledger.claim(lease, "a", SMALLER, NOW, DEADLINE)
    await reserved(ledger, caller, lease_of(caller, "req_2", bound=Bound(80, 1)))


async def test_a_claim_can_be_repeated_by_its_own_attempt_only(ledger: Ledger) -> None:
    caller = await enrol(ledger)
    lease = await live(ledger, caller, lease_of(caller))
    assert await ledger.claim(lease, "a", SMALLER, NOW, DEADLINE) is Claim.CLAIMED
    assert await ledger.claim(lease, "b", SMALLER, NOW, DEADLINE) is Claim.TAKEN
    assert await ledger.claim(lease, "a", SMALLER, NOW, DEADLINE) is Claim.CLAIMED


async def test_a_second_attempt_waits_for_the_first_ones_deadline(ledger: Ledger) -> None:
    caller = await enrol(ledger)
    lease = await live(ledger, caller, lease_of(caller))
    await ledger.claim(lease, "a", SMALLER, NOW, NOW + MINUTE)
    assert await ledger.claim(lease, "b", SMALLER, NOW + MINUTE, DEADLINE) is Claim.TAKEN
    assert await ledger.claim(lease, "b", SMALLER, NOW + MINUTE + 1, DEADLINE) is Claim.CLAIMED
    assert await ledger.claim(lease, "a", SMALLER, NOW + MINUTE + 1, DEADLINE) is Claim.TAKEN
    assert not await ledger.checkpoint(lease, "a", USAGE, DEADLINE)
    assert await ledger.checkpoint(lease, "b", USAGE, DEADLINE)


async def test_a_checkpoint_renews_the_deadline_and_never_shortens_it(ledger: Ledger) -> None:
    caller = await enrol(ledger)
    lease = await live(ledger, caller, lease_of(caller))
    await ledger.claim(lease, "a", SMALLER, NOW, NOW + MINUTE)
    assert await ledger.checkpoint(lease, "a", USAGE, NOW + 2 * MINUTE)
    assert await ledger.checkpoint(lease, "a", USAGE, NOW)
    assert await ledger.claim(lease, "a", SMALLER, NOW, NOW + 1) is Claim.CLAIMED  # a repetition, late
    assert list(await ledger.expire(NOW + 2 * MINUTE)) == []
    assert list(await ledger.expire(NOW + 2 * MINUTE + 1)) == [lease.id]


async def test_a_repeated_checkpoint_of_before_lowers_nothing(ledger: Ledger) -> None:
    caller = await enrol(ledger)
    lease = await live(ledger, caller, lease_of(caller))
    await ledger.claim(lease, "a", BOUND, NOW, DEADLINE)
    for completion in (5, 9, 5):
        assert await ledger.checkpoint(lease, "a", Usage(20, 0, completion), DEADLINE)
    await ledger.expire(DEADLINE + 1)
    record = await ledger.record(lease.id)
    assert record is not None
    assert record.usage == Usage(20, 0, 9)


async def test_a_checkpoint_over_what_is_set_aside_is_an_error(ledger: Ledger) -> None:
    caller = await enrol(ledger)
    lease = await live(ledger, caller, lease_of(caller))
    await ledger.claim(lease, "a", SMALLER, NOW, DEADLINE)
    with pytest.raises(ValueError, match="set aside"):
        await ledger.checkpoint(lease, "a", Usage(61, 0, 0), DEADLINE)
    await ledger.expire(DEADLINE + 1)
    record = await ledger.record(lease.id)
    assert record is not None
    assert record.usage == Usage()


async def test_nobody_checkpoints_what_was_not_claimed(ledger: Ledger) -> None:
    caller = await enrol(ledger)
    lease = lease_of(caller)
    assert not await ledger.checkpoint(lease, "a", USAGE, DEADLINE)
    await reserved(ledger, caller, lease)
    assert not await ledger.checkpoint(lease, "a", USAGE, DEADLINE)


async def test_a_claim_over_the_lease_or_an_earlier_claim_is_an_error(ledger: Ledger) -> None:
    caller = await enrol(ledger)
    lease = await live(ledger, caller, lease_of(caller))
    for larger in (Bound(BOUND.tokens + 1, 0), Bound(0, BOUND.nano + 1)):
        with pytest.raises(ValueError, match="set aside"):
            await ledger.claim(lease, "a", larger, NOW, DEADLINE)
    assert await ledger.claim(lease, "a", SMALLER, NOW, NOW) is Claim.CLAIMED
    with pytest.raises(ValueError, match="set aside"):
        await ledger.claim(lease, "b", BOUND, NOW + 1, DEADLINE)


@pytest.mark.parametrize("end", ["settled", "released", "expired", "past its deadline"])
async def test_a_closed_lease_cannot_be_claimed(ledger: Ledger, end: str) -> None:
    caller = await enrol(ledger)
    lease = await live(ledger, caller, lease_of(caller))
    match end:
        case "settled":
            await ledger.settle(lease, USAGE, "stop", NOW)
        case "released":
            await ledger.release(lease, NOW)
        case "expired":
            await ledger.expire(DEADLINE + 1)
    now = DEADLINE + 1 if end == "past its deadline" else NOW
    assert await ledger.claim(lease, "a", SMALLER, now, now + MINUTE) is Claim.CLOSED
    assert await ledger.record(lease.id) is None or end == "settled"


async def test_an_unclaimed_lease_can_be_claimed_up_to_its_deadline(ledger: Ledger) -> None:
    caller = await enrol(ledger)
    lease = await live(ledger, caller, lease_of(caller))
    assert await ledger.claim(lease, "a", SMALLER, DEADLINE, DEADLINE + MINUTE) is Claim.CLAIMED


async def test_a_release_gives_everything_back_and_leaves_no_record(ledger: Ledger) -> None:
    caller = await enrol(ledger, account=EVERY, key=EVERY)
    before = await ledger.standings(caller, NOW)
    lease = await live(ledger, caller, lease_of(caller))
    assert await ledger.release(lease, NOW)
    assert not await ledger.release(lease, NOW)
    assert await ledger.standings(caller, NOW) == before
    assert await ledger.record(lease.id) is None
    assert list(await ledger.usage()) == []


async def test_only_an_unclaimed_lease_can_be_released(ledger: Ledger) -> None:
    caller = await enrol(ledger, account=EVERY)
    lease = await live(ledger, caller, lease_of(caller))
    await ledger.claim(lease, "a", SMALLER, NOW, DEADLINE)
    assert not await ledger.release(lease, NOW)
    assert (await ledger.standings(caller, NOW))[LimitName.CONCURRENT_REQUESTS].reserved == 1
    assert await ledger.settle(lease, USAGE, "stop", NOW) is Settled.FIRST
    assert not await ledger.release(lease, NOW)
