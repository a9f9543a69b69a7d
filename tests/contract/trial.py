"""One plan, carried out on a ledger and on the model of it, step by step; after each, both must say the same."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from penstock.clock import MINUTE, SECOND
from penstock.ledger import (
    AccessDenied,
    Bound,
    Caller,
    Lease,
    Ledger,
    Limits,
    Refused,
    Reserved,
    Standings,
    Usage,
)
from tests.contract.model import Model
from tests.contract.samples import BOUND, NO_LIMITS, lease_of

# How far a deadline is ahead: less than a minute, so that late settlements meet a minute that still counts.
CLAIMABLE = 50 * SECOND
HOLD = 40 * SECOND  # of a claimed lease
_SAID_NO = (AccessDenied, ValueError)


@dataclass(frozen=True)
class Step:
    """What happens next. Which fields matter depends on the verb."""

    verb: str
    slot: int = 0
    attempt: str = "a"
    bound: Bound = BOUND
    requests: int = 1  # of the lease that is reserved
    completion_tokens: int = 0
    limits: Limits = NO_LIMITS
    seconds: int = 0  # that pass, or that the caller's clock is ahead
    twice: bool = False
    forsaken: bool = False  # it is about the slot's last lease whose holder went away


@dataclass
class Slot:
    """A place for one request after the other."""

    lease: Lease | None = None
    forsaken: Lease | None = None  # the one before, whose holder went away
    leases: int = 0


@dataclass
class Trial:
    """The ledger, the model, the time, and the requests."""

    ledger: Ledger
    model: Model
    callers: list[Caller]  # as they were looked up last
    now: int
    slots: list[Slot]
    begun: int = field(init=False)
    history: deque[str] = field(default_factory=lambda: deque(maxlen=12))

    def __post_init__(self) -> None:
        self.begun = self.now

    async def run(self, plan: Iterable[Step]) -> None:
        """Carry it out, to the end of all leases."""
        for step in plan:
            await getattr(self, step.verb)(step)
            await self.check()
        await self.finish()

    # -- steps: time, and what an operator does ---------------------------------------------------

    async def wait(self, step: Step) -> None:
        self.now += step.seconds * SECOND

    async def look(self, step: Step) -> None:
        """The edge's cache of the caller ends."""
        caller = self.callers[step.slot % 2]
        found = await self.ledger.caller(caller.key.id)
        assert found == Caller(self.model.the_account, self.model.of_keys[caller.key.id])
        self.callers[step.slot % 2] = found

    async def limit_account(self, step: Step) -> None:
        account = self.model.the_account
        await self.both("set_account", account.id, enabled=account.enabled, limits=step.limits)

    async def limit_key(self, step: Step) -> None:
        key = self.callers[step.slot % 2].key
        await self.both("set_key", key.id, limits=step.limits, models=None, routes=None)

    async def turn(self, _: Step) -> None:
        """Switch the account off, or on."""
        account = self.model.the_account
        await self.both("set_account", account.id, enabled=not account.enabled, limits=account.limits)

    async def revoke(self, step: Step) -> None:
        await self.both("revoke_key", self.callers[step.slot % 2].key.id, self.now)

    async def end_key(self, step: Step) -> None:
        await self.both("expire_key", self.callers[step.slot % 2].key.id, self.now + step.seconds * SECOND)

    # -- steps: a request's life ------------------------------------------------------------------

    async def reserve(self, step: Step) -> None:
        """Reserve a lease in the slot; the same again, where nothing was done with it yet."""
        slot, caller = self.slots[step.slot], self.callers[step.slot % 2]
        lease = slot.lease if slot.lease and self.untouched(slot.lease) else self.new_lease(step)
        outcome = await self.both("reserve", caller, lease, twice=step.twice)
        if isinstance(outcome, Reserved):
            if slot.lease and slot.lease.id != lease.id:
                slot.forsaken = slot.lease
            slot.lease = outcome.lease

    def untouched(self, lease: Lease) -> bool:
        """Whether it is live, unclaimed, and may still be claimed."""
        live = self.model.live.get(lease.id)
        return live is not None and live.attempt is None and self.now <= lease.deadline

    def new_lease(self, step: Step) -> Lease:
        slot, caller = self.slots[step.slot], self.callers[step.slot % 2]
        slot.leases += 1
        name = f"req_{caller.account.id}-{step.slot}-{slot.leases}"
        deadline = self.now + CLAIMABLE
        return lease_of(caller, name, at=self.now, deadline=deadline, bound=step.bound, requests=step.requests)

    async def claim(self, step: Step) -> None:
        if lease := self.of(step):
            now = self.clock(step)
            await self.both("claim", lease, step.attempt, step.bound, now, now + HOLD, twice=step.twice)

    async def checkpoint(self, step: Step) -> None:
        if lease := self.of(step):
            deadline = self.clock(step) + HOLD
            await self.both("checkpoint", lease, step.attempt, _used(step), deadline, twice=step.twice)

    async def settle(self, step: Step) -> None:
        if lease := self.of(step):
            await self.both("settle", lease, _used(step), "stop", self.clock(step), twice=step.twice)

    async def release(self, step: Step) -> None:
        if lease := self.of(step):
            await self.both("release", lease, self.clock(step), twice=step.twice)

    async def crash(self, step: Step) -> None:
        """The holder goes away. All that may come of it is a settlement, long after."""
        slot = self.slots[step.slot]
        if slot.lease:
            slot.forsaken, slot.lease = slot.lease, None

    async def expire(self, step: Step) -> None:
        await self.both("expire", self.clock(step), twice=step.twice)

    # -- what must hold ---------------------------------------------------------------------------

    async def both(self, verb: str, *args: Any, twice: bool = False, **named: Any) -> Any:
        """Make the call of the ledger and of the model, once or twice; what comes out of the first."""
        of_model = _said(lambda: getattr(self.model, verb)(*args, **named))
        of_ledger = await self.asked(verb, *args, **named)
        self.history.append(f"{verb}({', '.join(map(_brief, (*args, *named.values())))}) -> {_brief(of_ledger)}")
        assert _plain(of_ledger) == _plain(of_model), "\n".join(self.history)
        if twice:
            await self.both(verb, *args, **named)
        return of_ledger

    async def asked(self, verb: str, *args: Any, **named: Any) -> Any:
        """What the ledger says; of `expire`, what concerns this account."""
        try:
            outcome = await getattr(self.ledger, verb)(*args, **named)
        except _SAID_NO as no:
            return type(no)
        ours = f"req_{self.model.the_account.id}-"
        return [one for one in outcome if one.startswith(ours)] if verb == "expire" else outcome

    async def check(self) -> None:
        """The ledger shows what the model holds."""
        account_id = self.model.the_account.id
        for caller in self.callers:
            await self.same("standings", caller, self.now)
        await self.same("standings", self.callers[0], self.now - MINUTE)
        for lease in filter(None, (lease for slot in self.slots for lease in (slot.lease, slot.forsaken))):
            await self.same("record", lease.id)
        await self.same("usage", account_id=account_id)

    async def same(self, verb: str, *args: Any, **named: Any) -> None:
        """The ledger and the model answer alike."""
        found, expected = await self.asked(verb, *args, **named), getattr(self.model, verb)(*args, **named)
        asked = f"at {self.now}: {verb}({', '.join(map(_brief, (*args, *named.values())))}) -> {_brief(found)}"
        assert found == expected, "\n".join([*self.history, asked])

    async def finish(self) -> None:
        """When every lease is closed, nothing is set aside any more and all is booked."""
        self.now += 2 * CLAIMABLE
        while await self.both("expire", self.now):
            pass
        assert not self.model.live
        account_id = self.model.the_account.id
        await self.same("account", account_id)
        await self.same("keys", account_id)
        for request_id in self.model.booked:
            await self.same("record", request_id)
        for caller in self.callers:
            for moment in (self.now, self.begun):
                expected = _monthly(self.model.standings(caller, moment))
                assert _monthly(await self.ledger.standings(caller, moment)) == expected

    # -- which lease, which time ------------------------------------------------------------------

    def of(self, step: Step) -> Lease | None:
        """The lease that the step is about, or another where its slot is empty."""
        leases = [slot.forsaken if step.forsaken else slot.lease for slot in self.slots]
        return leases[step.slot] or next(filter(None, leases), None)

    def clock(self, step: Step) -> int:
        """The caller's clock, which is off by seconds; near a deadline it is right, since it decides there."""
        far = all(abs(live.deadline - self.now) > 10 * SECOND for live in self.model.live.values())
        return self.now + step.seconds * SECOND if far else self.now


def _used(step: Step) -> Usage:
    return Usage(3, 1, step.completion_tokens)


def _said(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except _SAID_NO as no:
        return type(no)


def _plain(outcome: Any) -> Any:
    """It with all that counts: of a refusal its standings too; of those closed, not their order."""
    if isinstance(outcome, Refused):
        return outcome, outcome.standings
    return sorted(outcome) if isinstance(outcome, list) and all(isinstance(one, str) for one in outcome) else outcome


def _brief(value: Any) -> str:
    """It, or its id where that is enough."""
    if isinstance(value, Caller):
        return value.key.id
    return value.id if isinstance(value, Lease) else str(value)


def _monthly(standings: Standings) -> Standings:
    return {name: standing for name, standing in standings.items() if name.monthly}
