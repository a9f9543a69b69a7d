"""What is changed at an account or a key holds at once, while many requests go on with what they looked up before."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from penstock.ledger import AccessDenied, Caller, Ledger, LimitName, Limits, Refused, Reserved
from tests.contract.samples import NOW, USAGE, enrol, lease_of, live, refused
from tests.integration.ledger.mortal import Died, Life, life, mortal

pytestmark = pytest.mark.anyio

CLIENTS = 16
WIDE = Limits(concurrent_requests=1_000, requests_per_minute=10**6)

Change = Callable[[Ledger], Awaitable[object]]

ENDS: dict[str, Change] = {
    "key revoked": lambda ledger: ledger.revoke_key("acme-key", NOW),
    "key expired": lambda ledger: ledger.expire_key("acme-key", NOW),
    "account off": lambda ledger: ledger.set_account("acme", enabled=False, limits=WIDE),
}
NARROWS: dict[str, Change] = {
    "account": lambda ledger: ledger.set_account("acme", enabled=True, limits=Limits(requests_per_minute=0)),
    "key": lambda ledger: ledger.set_key("acme-key", limits=Limits(requests_per_minute=0), models=None, routes=None),
}


async def looked_up(ledger: Ledger, key_id: str = "acme-key") -> Caller:
    caller = await ledger.caller(key_id)
    assert caller is not None
    return caller


class Traffic:
    """Requests of one caller, as it was looked up once, one after another by each of some clients."""

    def __init__(self, ledger: Ledger, caller: Caller) -> None:
        self.ledger, self.caller = ledger, caller
        self.changed = False
        self.before: Counter[type] = Counter()
        self.after: Counter[type] = Counter()  # what began after the change was made

    async def client(self, name: int) -> None:
        """Until it has seen a few outcomes of after the change."""
        number = 0
        while number < 1_000 and self.after.total() < 3 * CLIENTS:
            changed = self.changed
            (self.after if changed else self.before)[await self._outcome(f"req_{name}_{number}")] += 1
            number += 1

    async def _outcome(self, request_id: str) -> type:
        lease = lease_of(self.caller, request_id)
        try:
            outcome = await self.ledger.reserve(self.caller, lease)
        except AccessDenied:
            return AccessDenied
        if isinstance(outcome, Reserved):
            await self.ledger.settle(outcome.lease, USAGE, "stop", NOW)
        return type(outcome)

    async def until_some_went_through(self) -> None:
        while self.before[Reserved] < CLIENTS:
            await asyncio.sleep(0.001)


@asynccontextmanager
async def traffic(ledger: Ledger) -> AsyncIterator[Traffic]:
    """In full flow; it ends after the context has changed something."""
    flow = Traffic(ledger, await looked_up(ledger))
    async with asyncio.TaskGroup() as group:
        for name in range(CLIENTS):
            group.create_task(flow.client(name))
        await flow.until_some_went_through()
        yield flow
        flow.changed = True


@pytest.mark.parametrize("how", ENDS)
async def test_whose_key_or_account_has_ended_is_denied_at_once_whatever_is_cached(ledger: Ledger, how: str) -> None:
    await enrol(ledger, account=WIDE)
    async with traffic(ledger) as flow:
        await ENDS[how](ledger)
    assert set(flow.after) == {AccessDenied}
    assert set(flow.before) <= {Reserved, AccessDenied}
    (standing, _) = (await ledger.standings(flow.caller, NOW)).values()
    assert standing.reserved == 0
    assert standing.spent == flow.before[Reserved]


@pytest.mark.parametrize("scope", NARROWS)
async def test_a_narrowed_limit_holds_at_once_whatever_is_cached(ledger: Ledger, scope: str) -> None:
    await enrol(ledger, account=WIDE)
    async with traffic(ledger) as flow:
        await NARROWS[scope](ledger)
    assert set(flow.after) == {Refused}
    refusal = await refused(ledger, flow.caller, lease_of(flow.caller, "one more"))
    assert (refusal.limit, refusal.scope) == (LimitName.REQUESTS_PER_MINUTE, scope)
    assert refusal.standing.spent == flow.before[Reserved]


async def test_the_end_of_one_key_denies_no_other_of_its_account(ledger: Ledger) -> None:
    caller = await enrol(ledger, account=WIDE)
    other = Caller(caller.account, type(caller.key)("other", "acme", "other", "0" * 64, NOW))
    await ledger.create_key(other.key)
    async with traffic(ledger) as flow:
        before = await looked_up(ledger, "other")
        await ledger.revoke_key("acme-key", NOW)
        await asyncio.gather(*(live(ledger, before, lease_of(before, f"other_{number}")) for number in range(8)))
    assert set(flow.after) == {AccessDenied}


async def test_a_revocation_that_was_cut_off_is_finished_by_its_repetition(ledger_url: str) -> None:
    async with mortal(ledger_url) as ledger:
        await enrol(ledger, account=WIDE)
        cached = await looked_up(ledger)
        life.set(Life(1))
        with pytest.raises(Died):
            await ledger.revoke_key("acme-key", NOW)
        life.set(None)
        assert (await ledger.revoke_key("acme-key", NOW + 1)).revoked_at == NOW
        with pytest.raises(AccessDenied):
            await ledger.reserve(cached, lease_of(cached))
