"""A plain model of one account's ledger: what must come out of each call, where one is made after the other.

It keeps no counts. Whatever is spent or set aside is added up anew from the records and the live leases, so
there is nothing in it that could be given back twice, or forgotten. It shares no arithmetic with the stores.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from penstock.clock import SECOND, day_of, minute_of, month_of, next_minute, next_month
from penstock.ledger import (
    AccessDenied,
    Account,
    Bound,
    Caller,
    Claim,
    Key,
    Lease,
    LimitName,
    Limits,
    Refused,
    Reserved,
    Settled,
    Standing,
    Standings,
    Usage,
    UsageRecord,
    UsageRow,
)

# The order in which a refusal names them.
NAMES = (
    LimitName.MONTHLY_BUDGET,
    LimitName.MONTHLY_TOKENS,
    LimitName.TOKENS_PER_MINUTE,
    LimitName.REQUESTS_PER_MINUTE,
    LimitName.CONCURRENT_REQUESTS,
)


@dataclass
class Live:
    """A live lease."""

    lease: Lease
    bound: Bound  # the most that may be used
    counted: Bound  # what the limits count for it
    deadline: int
    attempt: str | None = None
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True)
class Share:
    """What one lease, live or booked, has of the limits."""

    reserved_at: int
    key_id: str
    tokens: int
    nano: int
    requests: int

    def of(self, name: LimitName) -> int:
        """In the limit's own unit."""
        if name is LimitName.MONTHLY_BUDGET:
            return self.nano
        if name is LimitName.CONCURRENT_REQUESTS:
            return 1
        return self.requests if name is LimitName.REQUESTS_PER_MINUTE else self.tokens


class Model:
    """The account, its keys, and all that was done with them. The methods are the protocol's.

    A store may leave it to the settlement to give back what a claim does not need, where the lease is not
    `tight`; `always_shrinks` says that it does not.
    """

    def __init__(self, account: Account, *keys: Key, always_shrinks: bool) -> None:
        self.the_account = account
        self.of_keys = {key.id: key for key in keys}
        self.live: dict[str, Live] = {}
        self.booked: dict[str, UsageRecord] = {}
        self._lost: dict[str, Bound] = {}  # of provisional records: what was set aside
        self._always_shrinks = always_shrinks

    # -- settings ---------------------------------------------------------------------------------

    def account(self, account_id: str) -> Account | None:
        return self.the_account if account_id == self.the_account.id else None

    def set_account(self, _: str, *, enabled: bool, limits: Limits, keep_answers: bool = True) -> Account:
        self.the_account = replace(self.the_account, enabled=enabled, limits=limits, keep_answers=keep_answers)
        return self.the_account

    def keys(self, _: str) -> list[Key]:
        return sorted(self.of_keys.values(), key=lambda key: (key.created_at, key.id))

    def set_key(
        self, key_id: str, *, limits: Limits, models: frozenset[str] | None, routes: frozenset[str] | None
    ) -> Key:
        return self._change(replace(self.of_keys[key_id], limits=limits, models=models, routes=routes))

    def expire_key(self, key_id: str, expires_at: int) -> Key:
        key = self.of_keys[key_id]
        return self._change(replace(key, expires_at=min(expires_at, key.expires_at or expires_at)))

    def revoke_key(self, key_id: str, now: int) -> Key:
        key = self.of_keys[key_id]
        return self._change(replace(key, revoked_at=key.revoked_at or now))

    def _change(self, key: Key) -> Key:
        self.of_keys[key.id] = key
        return key

    # -- a request's life -------------------------------------------------------------------------

    def reserve(self, caller: Caller, lease: Lease) -> Reserved | Refused:
        if not (self.the_account.enabled and self.of_keys[lease.key_id].usable(lease.reserved_at)):
            raise AccessDenied
        if lease.id not in self.live:
            if self._refusal(lease):
                self.expire(lease.reserved_at)
            if refused := self._refusal(lease):
                return refused
            self.live[lease.id] = Live(lease, lease.bound, lease.bound, lease.deadline)
        return Reserved(lease, self.standings(caller, lease.reserved_at))

    def claim(self, lease: Lease, attempt: str, bound: Bound, now: int, deadline: int) -> Claim:
        live = self.live.get(lease.id)
        _held_to(live.bound if live else lease.bound, bound)
        if live is None or (live.attempt is None and live.deadline < now):
            return Claim.CLOSED
        if live.attempt not in (None, attempt) and live.deadline >= now:
            return Claim.TAKEN
        live.deadline = max(deadline, live.deadline) if live.attempt == attempt else deadline
        live.attempt, live.bound = attempt, bound
        if lease.tight or self._always_shrinks:
            live.counted = bound
        return Claim.CLAIMED

    def checkpoint(self, lease: Lease, attempt: str, usage: Usage, deadline: int) -> bool:
        live = self.live.get(lease.id)
        _held_to(live.bound if live else lease.bound, _bound_of(lease, usage))
        if live is None or live.attempt != attempt:
            return False
        live.deadline = max(deadline, live.deadline)
        if _bound_of(lease, live.usage).within(_bound_of(lease, usage)):
            live.usage = usage
        return True

    def settle(self, lease: Lease, usage: Usage, outcome: str, now: int) -> Settled:
        before, live = self.booked.get(lease.id), self.live.get(lease.id)
        _held_to(lease.bound, _bound_of(lease, usage))
        if before and not before.provisional:
            return Settled.REPEATED
        _held_to(self._lost.get(lease.id, live.bound if live else lease.bound), _bound_of(lease, usage))
        self.live.pop(lease.id, None)
        self._book(lease, usage, outcome, now, provisional=False)
        return Settled.FIRST if live else Settled.LATE

    def release(self, lease: Lease, _: int) -> bool:
        if lease.id not in self.live or self.live[lease.id].attempt is not None:
            return False
        del self.live[lease.id]
        return True

    def expire(self, now: int) -> list[str]:
        dead = [live for live in self.live.values() if live.deadline < now]
        for live in dead:
            del self.live[live.lease.id]
            if live.attempt is not None:
                self._book(live.lease, live.usage, "lost", now, provisional=True)
                self._lost[live.lease.id] = live.bound
        return [live.lease.id for live in dead]

    def _book(self, lease: Lease, usage: Usage, outcome: str, now: int, *, provisional: bool) -> None:
        self.booked[lease.id] = UsageRecord(
            request_id=lease.id,
            account_id=lease.account_id,
            key_id=lease.key_id,
            model=lease.model,
            day=day_of(lease.reserved_at),
            usage=usage,
            nano=usage.cost(lease.price),
            price_version=lease.price.version,
            outcome=outcome,
            provisional=provisional,
            reserved_at=lease.reserved_at,
            settled_at=now,
            requests=lease.requests,
        )

    # -- what was used ----------------------------------------------------------------------------

    def record(self, request_id: str) -> UsageRecord | None:
        return self.booked.get(request_id)

    def usage(self, *, account_id: str) -> list[UsageRow]:
        assert account_id == self.the_account.id
        groups: dict[tuple[str, str, str], list[UsageRecord]] = {}
        for record in self.booked.values():
            groups.setdefault((record.day, record.key_id, record.model), []).append(record)
        return [
            UsageRow(
                account_id,
                key,
                model,
                day,
                requests=sum(one.requests for one in group),
                usage=_total(group),
                nano=sum(one.nano for one in group),
            )
            for (day, key, model), group in sorted(groups.items())
        ]

    def standings(self, caller: Caller, now: int) -> Standings:
        tightest: Standings = {}
        for _, name, standing in self._every(caller.key.id, now):
            if name not in tightest or standing.remaining < tightest[name].remaining:
                tightest[name] = standing
        return tightest

    def _refusal(self, lease: Lease) -> Refused | None:
        now = lease.reserved_at
        asked = Share(now, lease.key_id, lease.bound.tokens, lease.bound.nano, lease.requests)
        for scope, name, standing in self._every(lease.key_id, now):
            if standing.spent + standing.reserved + asked.of(name) > standing.limit:
                caller = Caller(self.the_account, self.of_keys[lease.key_id])
                return Refused(name, scope, standing, asked.of(name), _again(name, now), self.standings(caller, now))
        return None

    def _every(self, key_id: str, now: int) -> Iterable[tuple[str, LimitName, Standing]]:
        """The limits that are set, in their order, each with how much of it is taken."""
        for name in NAMES:
            for scope, limits in (("account", self.the_account.limits), ("key", self.of_keys[key_id].limits)):
                limit: int | None = getattr(limits, name)
                if limit is not None:
                    whose = None if scope == "account" else key_id
                    spent = 0 if name is LimitName.CONCURRENT_REQUESTS else _taken(self._spent(), name, whose, now)
                    yield scope, name, Standing(limit, spent, _taken(self._aside(), name, whose, now))

    def _spent(self) -> Iterable[Share]:
        for one in self.booked.values():
            yield Share(one.reserved_at, one.key_id, one.usage.total_tokens, one.nano, one.requests)

    def _aside(self) -> Iterable[Share]:
        for one in self.live.values():
            lease, aside = one.lease, one.counted
            yield Share(lease.reserved_at, lease.key_id, aside.tokens, aside.nano, lease.requests)


def _taken(shares: Iterable[Share], name: LimitName, key_id: str | None, now: int) -> int:
    return sum(one.of(name) for one in shares if key_id in (None, one.key_id) and _counts(name, one.reserved_at, now))


def _counts(name: LimitName, reserved_at: int, now: int) -> bool:
    """Whether what was reserved then is in the window that holds `now`."""
    if name is LimitName.CONCURRENT_REQUESTS:
        return True
    window = month_of if name in (LimitName.MONTHLY_BUDGET, LimitName.MONTHLY_TOKENS) else minute_of
    return window(reserved_at) == window(now)


def _again(name: LimitName, now: int) -> int:
    if name is LimitName.CONCURRENT_REQUESTS:
        return now + SECOND
    return next_month(now) if name in (LimitName.MONTHLY_BUDGET, LimitName.MONTHLY_TOKENS) else next_minute(now)


def _total(records: Iterable[UsageRecord]) -> Usage:
    used = [record.usage for record in records]
    return Usage(
        sum(one.prompt_tokens for one in used),
        sum(one.cached_prompt_tokens for one in used),
        sum(one.completion_tokens for one in used),
    )


def _bound_of(lease: Lease, usage: Usage) -> Bound:
    return Bound(usage.total_tokens, usage.cost(lease.price))


def _held_to(aside: Bound, asked: Bound) -> None:
    if asked.tokens > aside.tokens or asked.nano > aside.nano:
        raise ValueError
