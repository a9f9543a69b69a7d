"""Requests that die at random: no slot is lost with them, and no token.

A death may come after any write: after the reservation, the claim, a checkpoint, in the middle of a
settlement, in a release, in the reconciler. Or a call is cut off at any moment, and nobody knows whether it
took effect.
"""

import asyncio
import random
from collections import Counter

import pytest

from penstock.clock import MINUTE, SECOND
from penstock.ledger import Bound, Caller, Claim, Key, Lease, Ledger, Limits, Refused, Usage, open_ledger
from tests.contract.samples import NOW, PRICE, enrol, lease_of, reserved
from tests.integration.ledger.mortal import Died, Life, life, mortal

pytestmark = pytest.mark.anyio

ACCOUNTS = 24
SLOTS = 12  # of each account; 8 of each of its two keys
AT_THE_SAME_TIME = 48
# How many writes a request makes at most. Early deaths are cheap to have, and leave the most to close.
LIVES = (1, 1, 1, 2, 2, 2, 3, 3, 4, 5, 6)
HOLD = 5 * SECOND
STEP = 12  # milliseconds from one start to the next: ten thousand last two minutes
STARTS = 10_000


class Starts:
    """So many requests, by callers of several accounts, of which most die."""

    def __init__(self, callers: list[Caller], seed: int) -> None:
        self.callers = callers
        self.random = random.Random(seed)
        self.ended: Counter[str] = Counter()

    async def run(self, ledger: Ledger, count: int) -> None:
        """Run them, some at the same time. What remains of them is in the ledger."""
        numbers = iter(range(count))

        async def one_after_the_other() -> None:
            for number in numbers:
                self.ended[await self._start(ledger, number)] += 1

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_THE_SAME_TIME):
                group.create_task(one_after_the_other())

    async def _start(self, ledger: Ledger, number: int) -> str:
        caller = self.random.choice(self.callers)
        at = NOW + STEP * number
        lease = lease_of(caller, f"req_{number}", at=at, deadline=at + HOLD)
        life.set(Life(self.random.choice(LIVES)))
        # A tenth are cut off at a moment of their own, perhaps in the middle of a call.
        cut = self.random.uniform(0, 0.1) if self.random.random() < 0.1 else None
        try:
            async with asyncio.timeout(cut):
                return await self._request(ledger, caller, lease)
        except Died:
            return "died"
        except TimeoutError:
            return "cut off"

    async def _request(self, ledger: Ledger, caller: Caller, lease: Lease) -> str:
        outcome = await ledger.reserve(caller, lease)
        if isinstance(outcome, Refused):
            return "refused"
        lease = outcome.lease
        if self.random.random() < 0.2:
            await ledger.release(lease, lease.reserved_at)
            return "released"
        until = lease.reserved_at + HOLD
        aside = Bound(80, 160_000)
        if await ledger.claim(lease, "a", aside, lease.reserved_at, until) is not Claim.CLAIMED:
            return "not claimed"
        usage = Usage(20, 10, self.random.randint(0, 30))
        if self.random.random() < 0.5:
            await ledger.checkpoint(lease, "a", usage, until + SECOND)
        usage = Usage(20, 10, usage.completion_tokens + self.random.randint(0, 30))
        await ledger.settle(lease, usage, "stop", lease.reserved_at)
        return "settled"


async def reconciled(ledger: Ledger, now: int, mortality: random.Random) -> int:
    """Expire until nothing is left: dying, at first, as often as not. The number of deaths."""
    deaths = 0
    while True:
        life.set(Life(mortality.choice((1, 2, 7, 40))) if deaths < 10 else None)
        try:
            while await ledger.expire(now):
                pass
        except Died:
            deaths += 1
        else:
            return deaths


async def callers_of(ledger: Ledger) -> list[Caller]:
    """Two callers of each account: each account has limits, and so has each key."""
    callers = []
    for number in range(ACCOUNTS):
        limits = Limits(concurrent_requests=SLOTS, monthly_budget=10**12, tokens_per_minute=10**9)
        first = await enrol(ledger, account=limits, key=Limits(concurrent_requests=8), name=f"account-{number}")
        key = Key(f"second-{number}", first.account.id, "other", "0" * 64, NOW, limits=Limits(concurrent_requests=8))
        await ledger.create_key(key)
        for key_id in (first.key.id, key.id):
            caller = await ledger.caller(key_id)
            assert caller is not None
            callers.append(caller)
    return callers


async def is_whole(ledger: Ledger, callers: list[Caller], now: int) -> None:
    """Nothing is set aside any more, every slot can be had again, and everything adds up."""
    for caller in callers:
        standings = await ledger.standings(caller, now)
        assert [standing.reserved for standing in standings.values()] == [0, 0, 0]
    audit = await ledger.audit(now)
    assert audit.findings == ()
    assert audit.leases == 0
    records = await ledger.records(limit=10**6)
    assert audit.records == len(records) > 0
    assert all(record.nano == record.usage.cost(PRICE) for record in records)
    rows = await ledger.usage()
    assert sum(row.nano for row in rows) == sum(record.nano for record in records) == audit.nano
    assert sum(row.requests for row in rows) == len(records)
    for caller in callers[::16]:
        for number in range(8):
            await reserved(ledger, caller, lease_of(caller, f"again-{caller.key.id}-{number}", at=now))


async def test_ten_thousand_starts_with_random_deaths_leak_no_slot(ledger_url: str) -> None:
    after = NOW + STEP * STARTS + 2 * MINUTE
    async with mortal(ledger_url) as ledger:
        callers = await callers_of(ledger)
        starts = Starts(callers, seed=7)
        await starts.run(ledger, STARTS)
        assert sum(starts.ended.values()) == STARTS
        assert min(starts.ended[how] for how in ("died", "cut off", "released", "settled", "refused")) > 0
        deaths = await asyncio.gather(*(reconciled(ledger, after, random.Random(seed)) for seed in (1, 2)))
        assert sum(deaths) > 0
    opened = await open_ledger(ledger_url)
    await is_whole(opened, callers, after)
    await opened.close()
