"""200 clients against the last dollar, the last tokens, the last slots: never over, and never stuck below.

Each reserves, claims, works for a moment and settles for less than it had set aside, so that others get in
with what it gives back. Some die with their request; after its deadline, that is given back as well.
"""

from collections import Counter

import pytest

from penstock.ledger import Bound, Ledger, LimitName, Limits
from tests.contract.rush import HOLD, Ended, Rush
from tests.contract.samples import NOW, PRICE, enrol, lease_of, refused, reserved

pytestmark = pytest.mark.anyio

CLIENTS = 200
LAST = {
    LimitName.MONTHLY_BUDGET: Limits(monthly_budget=1_000_000_000),
    LimitName.TOKENS_PER_MINUTE: Limits(tokens_per_minute=1_000),
    LimitName.CONCURRENT_REQUESTS: Limits(concurrent_requests=3),
    LimitName.MONTHLY_TOKENS: Limits(monthly_tokens=1_000),
}
UNITS = {LimitName.MONTHLY_BUDGET: 500}  # tokens of half a thousandth of a dollar each: 1,000 at $1


async def the_rush(ledger: Ledger, limit: LimitName, scope: str) -> Rush:
    """Nobody in it yet; the limit is the account's, or the key's."""
    limits = LAST[limit]
    await (enrol(ledger, account=limits) if scope == "account" else enrol(ledger, key=limits))
    caller = await ledger.caller("acme-key")
    assert caller is not None
    return Rush(ledger, caller, limit, unit=UNITS.get(limit, 1))


def spent_by(rush: Rush) -> int:
    """What the ledger has to have counted."""
    if rush.limit is LimitName.CONCURRENT_REQUESTS:
        return 0
    if rush.limit is LimitName.MONTHLY_BUDGET:
        return sum(client.used.cost(PRICE) for client in rush.clients)
    return sum(client.used.total_tokens for client in rush.clients)


async def all_that_is_left_can_be_had(ledger: Ledger, rush: Rush) -> None:
    """To the last unit; and not one more."""
    standing = await rush.standing()
    assert (standing.spent, standing.reserved) == (spent_by(rush), 0)
    left = standing.remaining
    if rush.limit is LimitName.CONCURRENT_REQUESTS:
        leases = [lease_of(rush.caller, f"last-{number}", at=rush.now) for number in range(left)]
    else:
        bound = Bound(1, left) if rush.limit is LimitName.MONTHLY_BUDGET else Bound(left, 1)
        leases = [lease_of(rush.caller, "last", at=rush.now, bound=bound)]
    for lease in leases:
        await reserved(ledger, rush.caller, lease)
    assert (await rush.standing()).remaining == 0
    await refused(ledger, rush.caller, lease_of(rush.caller, "one more", at=rush.now, bound=Bound(1, 1)))


@pytest.mark.parametrize("scope", ["account", "key"])
@pytest.mark.parametrize("limit", LAST)
async def test_200_clients_use_the_last_of_a_limit_and_no_more(ledger: Ledger, limit: LimitName, scope: str) -> None:
    rush = await the_rush(ledger, limit, scope)
    await rush.run(CLIENTS, mortality=0.0)
    if limit is LimitName.CONCURRENT_REQUESTS:
        assert Counter(client.ended for client in rush.clients) == {Ended.SETTLED: CLIENTS}
    else:
        # Those who come when all is quiet take what is left, until there is not enough for one.
        while (await rush.client()).ended is Ended.SETTLED:
            pass
        need = rush.bound.nano if limit is LimitName.MONTHLY_BUDGET else rush.bound.tokens
        assert (await rush.standing()).remaining < need
    await all_that_is_left_can_be_had(ledger, rush)
    assert (await ledger.audit(NOW)).findings == ()


@pytest.mark.parametrize("scope", ["account", "key"])
@pytest.mark.parametrize("limit", LAST)
async def test_what_200_mortal_clients_leave_behind_can_be_had_after_their_deadline(
    ledger: Ledger, limit: LimitName, scope: str
) -> None:
    rush = await the_rush(ledger, limit, scope)
    await rush.run(CLIENTS, mortality=1 / 3)
    ended = Counter(client.ended for client in rush.clients)
    assert ended[Ended.DIED] > 0
    if limit is LimitName.CONCURRENT_REQUESTS:
        assert ended[Ended.GAVE_UP] == 0  # nobody is kept out for longer than a lease
    rush.now += HOLD + 1
    while await ledger.expire(rush.now):
        pass
    await all_that_is_left_can_be_had(ledger, rush)
    assert (await ledger.audit(rush.now)).findings == ()
