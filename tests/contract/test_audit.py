"""The audit: a ledger that was used as the protocol says has nothing that does not add up.

What an audit finds in a store that was tampered with is tested with each store.
"""

import asyncio

import pytest

from penstock.clock import MINUTE, SECOND
from penstock.ledger import Caller, Claim, Ledger, Limits, Settled, Usage
from tests.contract.samples import BOUND, COST, DEADLINE, NOW, PRICE, USAGE, enrol, lease_of, live, refused

pytestmark = pytest.mark.anyio

HALF = Usage(prompt_tokens=20, cached_prompt_tokens=10, completion_tokens=15)
EVERY = Limits(
    requests_per_minute=10,
    tokens_per_minute=1_000,
    concurrent_requests=5,
    monthly_budget=10_000_000,
    monthly_tokens=10_000,
)


async def settled(ledger: Ledger, caller: Caller, request_id: str, *, at: int = NOW, model: str = "demo") -> None:
    """A request from its reservation to its settlement, which comes twice."""
    lease = await live(ledger, caller, lease_of(caller, request_id, at=at, model=model))
    assert await ledger.claim(lease, "a", BOUND, at, at + MINUTE) is Claim.CLAIMED
    assert await ledger.checkpoint(lease, "a", HALF, at + MINUTE)
    assert await ledger.settle(lease, USAGE, "stop", at + SECOND) is Settled.FIRST
    assert await ledger.settle(lease, USAGE, "stop", at + SECOND) is Settled.REPEATED


async def lost(ledger: Ledger, caller: Caller, request_id: str) -> None:
    """A request whose GPU process settles after its lease was closed."""
    lease = await live(ledger, caller, lease_of(caller, request_id, deadline=NOW + MINUTE))
    await ledger.claim(lease, "a", BOUND, NOW, NOW + MINUTE)
    await ledger.checkpoint(lease, "a", HALF, NOW + MINUTE)
    while await ledger.expire(NOW + MINUTE + 1):
        pass
    assert await ledger.settle(lease, USAGE, "stop", NOW + MINUTE + 1) is Settled.LATE


async def test_an_empty_ledger_adds_up(ledger: Ledger) -> None:
    found = await ledger.audit(NOW)
    assert (found.accounts, found.leases, found.records, found.rows, found.nano) == (0, 0, 0, 0, 0)
    assert found.findings == ()


async def test_a_ledger_after_a_mixed_life_adds_up(ledger: Ledger) -> None:
    acme, bolt = await enrol(ledger, account=EVERY, key=EVERY), await enrol(ledger, name="bolt")
    await asyncio.gather(*(settled(ledger, acme, f"req_{number}") for number in range(4)))
    await settled(ledger, acme, "other model", model="other")
    await settled(ledger, bolt, "another account")
    await lost(ledger, acme, "late")
    unused = await live(ledger, acme, lease_of(acme, "failed"))
    await ledger.settle(unused, Usage(), "failed", NOW)
    await ledger.release(await live(ledger, acme, lease_of(acme, "released")), NOW)
    await ledger.set_account("acme", enabled=True, limits=Limits(requests_per_minute=0))
    await refused(ledger, acme, lease_of(acme, "refused"))
    forgotten = await live(ledger, bolt, lease_of(bolt, "provisional", deadline=NOW + MINUTE))
    await ledger.claim(forgotten, "a", BOUND, NOW, NOW + MINUTE)
    await ledger.checkpoint(forgotten, "a", HALF, NOW + MINUTE)
    while await ledger.expire(NOW + MINUTE + 1):
        pass
    await live(ledger, bolt, lease_of(bolt, "running", at=NOW + MINUTE))
    await ledger.revoke_key("bolt-key", NOW + MINUTE)

    found = await ledger.audit(NOW + 2 * MINUTE)
    assert found.findings == ()
    # Four, one of another model, one of another account, the late one, the failed one, the provisional one.
    assert (found.accounts, found.leases, found.records) == (2, 1, 9)
    assert found.nano == 7 * COST + HALF.cost(PRICE)
    assert found.nano == sum(row.nano for row in await ledger.usage())


async def test_an_audit_changes_nothing(ledger: Ledger) -> None:
    caller = await enrol(ledger, account=EVERY)
    await settled(ledger, caller, "req_1")
    await live(ledger, caller, lease_of(caller, "req_2"))
    before = await ledger.standings(caller, NOW)
    assert await ledger.audit(NOW) == await ledger.audit(NOW)
    await ledger.audit(DEADLINE + MINUTE)
    assert await ledger.standings(caller, NOW) == before
    assert list(await ledger.expire(DEADLINE + 1)) == ["req_2"]


async def test_a_ledger_in_use_adds_up(ledger: Ledger) -> None:
    caller = await enrol(ledger)
    work = asyncio.gather(*(settled(ledger, caller, f"req_{number}") for number in range(20)))
    while not work.done():
        assert (await ledger.audit(NOW)).findings == ()
    await work
    assert (await ledger.audit(NOW)).records == 20
