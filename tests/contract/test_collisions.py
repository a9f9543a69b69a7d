"""What always holds, whatever is called at the same time.

A plan is a list of batches; the calls of a batch run at once. All of them concern a few leases of one
account, so they collide: repeated and concurrent reservations, second attempts, late and double
settlements, releases of what is running, expiry in between, time that passes.

Two things no plan does, as no caller of the protocol may: to claim or settle what was not granted (a ticket
proves it), and to reserve a lease again once it was claimed, settled, released or expired.
"""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from penstock.clock import MINUTE, SECOND
from penstock.ledger import (
    Bound,
    Caller,
    Claim,
    Lease,
    Ledger,
    LimitName,
    Limits,
    Reserved,
    Settled,
    Usage,
    UsageRecord,
)
from tests.contract.samples import NOW, PRICE, enrol, lease_of

pytestmark = pytest.mark.anyio

ACCOUNT = Limits(
    requests_per_minute=4,
    tokens_per_minute=350,
    concurrent_requests=3,
    monthly_budget=650_000,
    monthly_tokens=340,
)
NARROW_KEY = Limits(concurrent_requests=1, monthly_budget=330_000, monthly_tokens=180)
LEASES = 5
CLAIMED = Bound(tokens=80, nano=160_000)
HOLD = 30 * SECOND  # how far each deadline is ahead
_USES = ("claim", "settle", "release")


@dataclass(frozen=True)
class Call:
    """One call of the ledger."""

    verb: str
    lease: int = 0
    attempt: str = "a"
    completion_tokens: int = 0


numbers = st.integers(0, LEASES - 1)
attempts = st.sampled_from("ab")
tokens = st.integers(0, 90)  # some are over what a claim leaves
calls = st.one_of(
    st.builds(Call, st.just("reserve"), numbers),
    st.builds(Call, st.just("claim"), numbers, attempts),
    st.builds(Call, st.just("checkpoint"), numbers, attempts, tokens),
    st.builds(Call, st.just("settle"), numbers, attempts, tokens),
    st.builds(Call, st.just("release"), numbers),
    st.just(Call("expire")),
    st.just(Call("wait")),
)
# Plans begin as requests do, so that what follows finds leases in every state.
some = st.lists(numbers, min_size=1, max_size=LEASES, unique=True)
reservations = some.map(lambda chosen: [Call("reserve", number) for number in chosen])
claims = some.map(lambda chosen: [Call("claim", number) for number in chosen])
batches = st.lists(st.lists(calls, min_size=1, max_size=5), min_size=1, max_size=12)
plans = st.tuples(reservations, claims, batches).map(lambda parts: [parts[0], parts[1], *parts[2]])
names = (f"account-{number}" for number in itertools.count())


@dataclass
class Trial:
    """One plan carried out on one account of its own, and what must hold meanwhile."""

    ledger: Ledger
    wide: Caller  # its key has no limits: its standings are the account's
    narrow: Caller
    now: int = NOW
    booked: Counter[str] = field(default_factory=Counter)
    late: int = 0
    leases: dict[int, Lease] = field(default_factory=dict)
    granted: set[int] = field(default_factory=set)  # by number
    used: set[int] = field(default_factory=set)  # of them: claimed, settled or released
    final: dict[str, UsageRecord] = field(default_factory=dict)

    def lease(self, number: int) -> Lease:
        """The lease of that number, as it is the first time that it is asked for."""
        if number not in self.leases:
            caller = self.wide if number % 2 else self.narrow
            name = f"{caller.account.id}-{number}"
            self.leases[number] = lease_of(caller, name, at=self.now, deadline=self.now + HOLD)
        return self.leases[number]

    async def run(self, batch: Sequence[Call]) -> None:
        """Let time pass, then make the other calls of the batch at once, but for those that nobody may make."""
        self.now += HOLD // 2 * sum(call.verb == "wait" for call in batch)
        used = {call.lease for call in batch if call.verb in _USES and call.lease in self.granted}
        self.used |= used
        await asyncio.gather(*(self.call(call) for call in batch if self.allowed(call)))

    def allowed(self, call: Call) -> bool:
        """Whether a caller of the protocol could make this call in this batch."""
        if call.verb == "reserve":
            return call.lease not in self.used and self.now <= self.lease(call.lease).deadline
        return call.verb != "wait" and (call.verb == "expire" or call.lease in self.granted)

    async def call(self, call: Call) -> None:
        lease, used = self.lease(call.lease), Usage(3, 1, call.completion_tokens)
        match call.verb:
            case "reserve":
                await self.reserve(call.lease)
            case "claim":
                assert await self.ledger.claim(lease, call.attempt, CLAIMED, self.now, self.now + HOLD) in Claim
            case "checkpoint":
                await self.checkpoint(lease, call.attempt, used)
            case "settle":
                await self.settle(lease, used)
            case "release":
                await self.ledger.release(lease, self.now)
            case _:
                await self.ledger.expire(self.now)

    async def reserve(self, number: int) -> None:
        lease = self.lease(number)
        caller = self.wide if lease.key_id == self.wide.key.id else self.narrow
        outcome = await self.ledger.reserve(caller, lease)
        if isinstance(outcome, Reserved):
            self.granted.add(number)
            self.leases[number] = outcome.lease
            if not self.late:
                assert all(one.spent + one.reserved <= one.limit for one in outcome.standings.values())

    async def checkpoint(self, lease: Lease, attempt: str, used: Usage) -> None:
        try:
            await self.ledger.checkpoint(lease, attempt, used, self.now + HOLD)
        except ValueError:
            assert not Bound(used.total_tokens, used.cost(PRICE)).within(CLAIMED)

    async def settle(self, lease: Lease, used: Usage) -> None:
        try:
            settled = await self.ledger.settle(lease, used, "stop", self.now)
        except ValueError:
            assert not Bound(used.total_tokens, used.cost(PRICE)).within(CLAIMED)
            return
        self.booked[lease.id] += settled is not Settled.REPEATED
        self.late += settled is Settled.LATE

    async def check(self) -> None:
        """The account's numbers agree, with each other and with what was promised before."""
        account_id = self.wide.account.id
        found = await asyncio.gather(*(self.ledger.record(lease.id) for lease in self.leases.values()))
        records = [record for record in found if record]
        assert all(record.nano == record.usage.cost(PRICE) for record in records)
        rows = await self.ledger.usage(account_id=account_id)
        for key in (self.wide.key.id, self.narrow.key.id):
            of_key = [record for record in records if record.key_id == key]
            summed = [row for row in rows if row.key_id == key]
            assert sum(row.requests for row in summed) == len(of_key)
            assert sum(row.nano for row in summed) == sum(record.nano for record in of_key)
            assert _tokens(row.usage for row in summed) == _tokens(record.usage for record in of_key)
        await self.check_standings(records)
        self.check_finality(records)

    async def check_standings(self, records: Sequence[UsageRecord]) -> None:
        for caller in (self.wide, self.narrow):
            for standing in (await self.ledger.standings(caller, self.now)).values():
                assert standing.spent >= 0
                assert standing.reserved >= 0
                assert self.late or standing.spent + standing.reserved <= standing.limit
        standings = await self.ledger.standings(self.wide, self.now)
        assert standings[LimitName.MONTHLY_BUDGET].spent == sum(record.nano for record in records)
        assert standings[LimitName.MONTHLY_TOKENS].spent == sum(record.usage.total_tokens for record in records)

    def check_finality(self, records: Sequence[UsageRecord]) -> None:
        """What the GPU process settled is final, and each request was booked by one settlement."""
        final = {record.request_id: record for record in records if not record.provisional}
        assert final.items() >= self.final.items()
        assert self.booked == Counter(final.keys())
        self.final = final

    async def finish(self) -> None:
        """When everything is closed, nothing is set aside, and all of it adds up."""
        self.now += 10 * MINUTE
        while await self.ledger.expire(self.now):
            pass
        for moment in (NOW, self.now):
            for caller in (self.wide, self.narrow):
                standings = await self.ledger.standings(caller, moment)
                assert [one.reserved for one in standings.values()] == [0] * len(standings)
        await self.check()

    async def settle_late(self) -> None:
        """The GPU processes that were thought lost report after all, each of them twice."""
        for number in sorted(self.granted) * 2:
            await self.settle(self.leases[number], Usage(3, 1, 70))
        await self.check()


def _tokens(usages: Iterable[Usage]) -> tuple[int, ...]:
    each = [(one.prompt_tokens, one.cached_prompt_tokens, one.completion_tokens) for one in usages]
    return tuple(map(sum, zip((0, 0, 0), *each, strict=True)))


@pytest.fixture
async def audited(ledger: Ledger) -> AsyncIterator[Ledger]:
    """The ledger, which must add up after all plans."""
    yield ledger
    assert (await ledger.audit(NOW + 30 * MINUTE)).findings == ()


# Not shrunk: that takes minutes on DynamoDB, and what happens at once need not happen again.
@settings(
    max_examples=60,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(plan=plans)
async def test_nothing_is_counted_twice_or_passes_a_limit(audited: Ledger, plan: list[list[Call]]) -> None:
    name = next(names)
    wide = await enrol(audited, account=ACCOUNT, name=name)
    narrow = replace(wide, key=replace(wide.key, id=f"{name}-narrow", limits=NARROW_KEY))
    await audited.create_key(narrow.key)
    trial = Trial(audited, wide, narrow)
    for batch in plan:
        await trial.run(batch)
        await trial.check()
    await trial.finish()
    await trial.settle_late()
