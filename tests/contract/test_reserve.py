"""Reservations: what is set aside, what is refused, and what a refusal says."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from penstock.clock import MINUTE, SECOND, next_minute
from penstock.ledger import AccessDenied, Bound, Ledger, LimitName, Limits, Refused, Standing
from tests.contract.samples import BOUND, COST, NOW, USAGE, enrol, lease_of, live, refused, reserved

pytestmark = pytest.mark.anyio

EVERY = Limits(
    requests_per_minute=10,
    tokens_per_minute=1_000,
    concurrent_requests=5,
    monthly_budget=1_000_000,
    monthly_tokens=900,
)
APRIL = int(datetime(2026, 4, 1, tzinfo=UTC).timestamp()) * 1_000


async def test_a_reservation_sets_the_bound_aside(ledger: Ledger) -> None:
    caller = await enrol(ledger, account=EVERY)
    lease = lease_of(caller)
    outcome = await reserved(ledger, caller, lease)
    assert outcome.lease == lease
    assert outcome.standings == {
        LimitName.REQUESTS_PER_MINUTE: Standing(limit=10, spent=0, reserved=1),
        LimitName.TOKENS_PER_MINUTE: Standing(limit=1_000, spent=0, reserved=100),
        LimitName.CONCURRENT_REQUESTS: Standing(limit=5, spent=0, reserved=1),
        LimitName.MONTHLY_BUDGET: Standing(limit=1_000_000, spent=0, reserved=200_000),
        LimitName.MONTHLY_TOKENS: Standing(limit=900, spent=0, reserved=100),
    }
    assert await ledger.standings(caller, NOW) == outcome.standings


async def test_a_caller_without_limits_has_no_standings(ledger: Ledger) -> None:
    caller = await enrol(ledger)
    assert (await reserved(ledger, caller, lease_of(caller))).standings == {}


async def test_reserving_a_live_lease_again_changes_nothing(ledger: Ledger) -> None:
    caller = await enrol(ledger, account=replace(EVERY, concurrent_requests=1))
    first = await reserved(ledger, caller, lease_of(caller))
    assert await reserved(ledger, caller, lease_of(caller)) == first


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (Limits(requests_per_minute=2), ("requests_per_minute", Standing(2, 0, 2), 1, next_minute(NOW))),
        (Limits(tokens_per_minute=299), ("tokens_per_minute", Standing(299, 0, 200), 100, next_minute(NOW))),
        (Limits(concurrent_requests=2), ("concurrent_requests", Standing(2, 0, 2), 1, NOW + SECOND)),
        (Limits(monthly_budget=599_999), ("monthly_budget", Standing(599_999, 0, 400_000), 200_000, APRIL)),
        (Limits(monthly_tokens=299), ("monthly_tokens", Standing(299, 0, 200), 100, APRIL)),
    ],
)
@pytest.mark.parametrize("scope", ["account", "key"])
async def test_the_third_reservation_is_refused_with_its_numbers(
    ledger: Ledger, scope: str, limits: Limits, said: tuple[str, Standing, int, int]
) -> None:
    name, standing, requested, retry_at = said
    caller = await (enrol(ledger, account=limits) if scope == "account" else enrol(ledger, key=limits))
    for number in range(2):
        await reserved(ledger, caller, lease_of(caller, f"req_{number}"))
    refusal = await refused(ledger, caller, lease_of(caller, "req_2"))
    assert refusal == Refused(LimitName(name), scope, standing, requested, retry_at)
    assert not refusal.hopeless
    # A refusal changes nothing, and can be had again.
    assert await ledger.standings(caller, NOW) == {LimitName(name): standing}
    assert await refused(ledger, caller, lease_of(caller, "req_2")) == refusal


@pytest.mark.parametrize(
    "limits",
    [
        Limits(requests_per_minute=3),
        Limits(tokens_per_minute=300),
        Limits(concurrent_requests=3),
        Limits(monthly_budget=600_000),
        Limits(monthly_tokens=300),
    ],
)
async def test_a_limit_can_be_used_up_to_its_last_unit(ledger: Ledger, limits: Limits) -> None:
    caller = await enrol(ledger, account=limits, key=limits)
    for number in range(3):
        await reserved(ledger, caller, lease_of(caller, f"req_{number}"))
    (standing,) = (await ledger.standings(caller, NOW)).values()
    assert standing.remaining == 0
    await refused(ledger, caller, lease_of(caller, "req_3"))


async def test_a_request_larger_than_the_limit_is_hopeless(ledger: Ledger) -> None:
    caller = await enrol(ledger, account=Limits(tokens_per_minute=99))
    assert (await refused(ledger, caller, lease_of(caller))).hopeless


async def test_a_limit_of_zero_refuses_everything(ledger: Ledger) -> None:
    caller = await enrol(ledger, key=Limits(concurrent_requests=0))
    assert (await refused(ledger, caller, lease_of(caller))).standing == Standing(0, 0, 0)


async def test_of_several_limits_the_budget_is_named_first_and_the_accounts_before_the_keys(
    ledger: Ledger,
) -> None:
    nothing = Limits(0, 0, 0, 0, 0)
    caller = await enrol(ledger, account=nothing, key=nothing)
    refusal = await refused(ledger, caller, lease_of(caller))
    assert (refusal.limit, refusal.scope) == (LimitName.MONTHLY_BUDGET, "account")
    await ledger.set_account("acme", enabled=True, limits=replace(nothing, monthly_budget=None))
    refusal = await refused(ledger, caller, lease_of(caller))
    assert (refusal.limit, refusal.scope) == (LimitName.MONTHLY_BUDGET, "key")
    await ledger.set_key("acme-key", limits=replace(nothing, monthly_budget=None), models=None, routes=None)
    refusal = await refused(ledger, caller, lease_of(caller))
    assert (refusal.limit, refusal.scope) == (LimitName.MONTHLY_TOKENS, "account")


async def test_the_limits_are_those_in_the_store_not_the_cached_ones(ledger: Ledger) -> None:
    cached = await enrol(ledger, account=EVERY)
    await ledger.set_account("acme", enabled=True, limits=Limits(requests_per_minute=0))
    refusal = await refused(ledger, cached, lease_of(cached))
    assert refusal.limit is LimitName.REQUESTS_PER_MINUTE
    assert await ledger.standings(cached, NOW) == {LimitName.REQUESTS_PER_MINUTE: Standing(0, 0, 0)}


async def test_a_keys_changed_limits_hold_at_once_whatever_is_cached(ledger: Ledger) -> None:
    cached = await enrol(ledger)
    for request_id, most in (("req_1", 1), ("req_2", 2)):
        await ledger.set_key("acme-key", limits=Limits(concurrent_requests=most), models=None, routes=None)
        await reserved(ledger, cached, lease_of(cached, request_id))
        assert (await refused(ledger, cached, lease_of(cached, "more"))).standing == Standing(most, 0, most)


async def test_the_tighter_of_account_and_key_is_the_standing(ledger: Ledger) -> None:
    caller = await enrol(ledger, account=EVERY, key=Limits(requests_per_minute=3, tokens_per_minute=10**6))
    standings = (await reserved(ledger, caller, lease_of(caller))).standings
    assert standings[LimitName.REQUESTS_PER_MINUTE] == Standing(3, 0, 1)
    assert standings[LimitName.TOKENS_PER_MINUTE] == Standing(1_000, 0, 100)


async def test_standings_of_an_unknown_caller_are_empty(ledger: Ledger) -> None:
    caller = await enrol(ledger, account=EVERY)
    unknown = replace(caller, key=replace(caller.key, id="nobody"))
    assert await ledger.standings(unknown, NOW) == {}


async def test_the_keys_of_an_account_share_its_limits_and_have_their_own(ledger: Ledger) -> None:
    caller = await enrol(ledger, account=Limits(requests_per_minute=2), key=Limits(requests_per_minute=1))
    other = replace(caller, key=replace(caller.key, id="other-key"))
    await ledger.create_key(other.key)
    await reserved(ledger, caller, lease_of(caller, "req_1"))
    assert (await refused(ledger, caller, lease_of(caller, "req_2"))).scope == "key"
    await reserved(ledger, other, lease_of(other, "req_3"))
    assert (await refused(ledger, other, lease_of(other, "req_4"))).scope == "account"


async def test_accounts_do_not_share_anything(ledger: Ledger) -> None:
    limits = Limits(requests_per_minute=1, monthly_budget=200_000)
    for name in ("acme", "bolt"):
        caller = await enrol(ledger, account=limits, name=name)
        await reserved(ledger, caller, lease_of(caller, f"req_{name}"))


async def test_a_new_minute_has_new_windows_and_the_month_goes_on(ledger: Ledger) -> None:
    limits = Limits(requests_per_minute=1, tokens_per_minute=100, monthly_budget=300_000)
    caller = await enrol(ledger, account=limits)
    lease = lease_of(caller)
    await reserved(ledger, caller, lease)
    refusal = await refused(ledger, caller, lease_of(caller, "req_2", bound=Bound(1, 1)))
    later = lease_of(caller, "req_2", bound=Bound(100, 100_000), at=refusal.retry_at)
    await reserved(ledger, caller, later)
    assert (await ledger.standings(caller, later.reserved_at))[LimitName.MONTHLY_BUDGET].remaining == 0


@pytest.mark.parametrize("limits", [Limits(monthly_budget=200_000), Limits(monthly_tokens=100)])
async def test_a_new_month_has_a_new_budget(ledger: Ledger, limits: Limits) -> None:
    caller = await enrol(ledger, account=limits)
    await reserved(ledger, caller, lease_of(caller))
    refusal = await refused(ledger, caller, lease_of(caller, "req_2", at=NOW + MINUTE))
    await reserved(ledger, caller, lease_of(caller, "req_2", at=refusal.retry_at))


async def test_what_was_spent_counts_beside_what_is_reserved(ledger: Ledger) -> None:
    caller = await enrol(ledger, account=EVERY)
    first = await live(ledger, caller, lease_of(caller, "req_1"))
    await ledger.settle(first, USAGE, "stop", NOW)
    assert (await reserved(ledger, caller, lease_of(caller, "req_2"))).standings == {
        LimitName.REQUESTS_PER_MINUTE: Standing(limit=10, spent=1, reserved=1),
        LimitName.TOKENS_PER_MINUTE: Standing(limit=1_000, spent=50, reserved=100),
        LimitName.CONCURRENT_REQUESTS: Standing(limit=5, spent=0, reserved=1),
        LimitName.MONTHLY_BUDGET: Standing(limit=1_000_000, spent=COST, reserved=200_000),
        LimitName.MONTHLY_TOKENS: Standing(limit=900, spent=50, reserved=100),
    }


async def test_who_may_not_is_denied(ledger: Ledger) -> None:
    caller = await enrol(ledger)
    await enrol(ledger, name="bolt")
    for stranger in (
        replace(caller, key=replace(caller.key, id="nobody")),
        replace(caller, key=replace(caller.key, id="bolt-key")),
    ):
        with pytest.raises(AccessDenied):
            await ledger.reserve(stranger, lease_of(stranger))


async def test_a_switched_off_account_is_denied_until_it_is_on_again(ledger: Ledger) -> None:
    caller = await enrol(ledger)
    await ledger.set_account("acme", enabled=False, limits=Limits())
    with pytest.raises(AccessDenied):
        await ledger.reserve(caller, lease_of(caller))
    await ledger.set_account("acme", enabled=True, limits=Limits())
    await reserved(ledger, caller, lease_of(caller))


async def test_a_revoked_key_is_denied_from_its_revocation_on(ledger: Ledger) -> None:
    caller = await enrol(ledger)
    await ledger.revoke_key(caller.key.id, NOW)
    with pytest.raises(AccessDenied):
        await ledger.reserve(caller, lease_of(caller))
    await reserved(ledger, caller, lease_of(caller, at=NOW - 1))


async def test_an_expired_key_is_denied_from_its_end_on(ledger: Ledger) -> None:
    caller = await enrol(ledger)
    await ledger.expire_key(caller.key.id, NOW + SECOND)
    await reserved(ledger, caller, lease_of(caller))
    with pytest.raises(AccessDenied):
        await ledger.reserve(caller, lease_of(caller, "req_2", at=NOW + SECOND))


async def test_dead_leases_are_reaped_before_a_refusal(ledger: Ledger) -> None:
    caller = await enrol(ledger, account=Limits(concurrent_requests=2))
    await reserved(ledger, caller, lease_of(caller, "req_1"))
    claimed = await live(ledger, caller, lease_of(caller, "req_2"))
    await ledger.claim(claimed, "a", BOUND, NOW, claimed.deadline)
    await refused(ledger, caller, lease_of(caller, "req_3", at=claimed.deadline))
    standings = (await reserved(ledger, caller, lease_of(caller, "req_3", at=claimed.deadline + 1))).standings
    assert standings[LimitName.CONCURRENT_REQUESTS].reserved == 1
    record = await ledger.record("req_2")
    assert record is not None
    assert record.provisional
    assert await ledger.record("req_1") is None


async def test_as_many_dead_leases_are_reaped_as_it_takes(ledger: Ledger) -> None:
    caller = await enrol(ledger, account=Limits(monthly_budget=250))
    for number in range(250):
        await reserved(ledger, caller, lease_of(caller, f"req_{number}", bound=Bound(1, 1), deadline=NOW))
    everything = Bound(1, 250)
    await refused(ledger, caller, lease_of(caller, "too soon", bound=everything))
    await reserved(ledger, caller, lease_of(caller, "next", bound=everything, at=NOW + 1))
