"""The limits of an account and of a key: how far a caller is into them, and what is refused.

Only arithmetic, the same for every store: each says by itself what is taken.
"""

from dataclasses import dataclass

from penstock.clock import SECOND, next_minute, next_month
from penstock.ledger.records import Bound, Caller, Lease, LimitName, Limits, Refused, Standing, Standings

# Budget first: it lasts longest, so it is the most useful thing to say where several limits are reached.
_ORDER = (
    LimitName.MONTHLY_BUDGET,
    LimitName.MONTHLY_TOKENS,
    LimitName.TOKENS_PER_MINUTE,
    LimitName.REQUESTS_PER_MINUTE,
    LimitName.CONCURRENT_REQUESTS,
)


@dataclass(frozen=True, slots=True)
class Amount:
    """A number of requests and what they come to: of the minute, and of the month."""

    requests: int  # this minute
    tokens: int  # this minute
    nano: int  # this month
    monthly_tokens: int  # this month


@dataclass(frozen=True, slots=True)
class Taken:
    """What is taken of one scope's windows."""

    spent: Amount
    reserved: Amount
    live: int  # leases, of whatever minute

    def plus(self, lease: Lease) -> "Taken":
        """The same with one lease more set aside."""
        aside, bound = self.reserved, lease.bound
        more = Amount(
            requests=aside.requests + lease.requests,
            tokens=aside.tokens + bound.tokens,
            nano=aside.nano + bound.nano,
            monthly_tokens=aside.monthly_tokens + bound.tokens,
        )
        return Taken(self.spent, more, self.live + 1)

    def standings(self, limits: Limits) -> Standings:
        """How far that is into each limit that is set, in the order in which they are reported."""
        spent, reserved = self.spent, self.reserved
        every = (
            (limits.monthly_budget, spent.nano, reserved.nano),
            (limits.monthly_tokens, spent.monthly_tokens, reserved.monthly_tokens),
            (limits.tokens_per_minute, spent.tokens, reserved.tokens),
            (limits.requests_per_minute, spent.requests, reserved.requests),
            (limits.concurrent_requests, 0, self.live),
        )
        return {
            name: Standing(limit, spent=gone, reserved=aside)
            for name, (limit, gone, aside) in zip(_ORDER, every, strict=True)
            if limit is not None
        }


@dataclass(frozen=True, slots=True)
class Windows:
    """What is taken of a caller's windows at one time: by its account, and by its key."""

    caller: Caller
    account: Taken
    key: Taken

    def plus(self, lease: Lease) -> "Windows":
        """The same with one lease more set aside."""
        return Windows(self.caller, self.account.plus(lease), self.key.plus(lease))

    def standings(self) -> Standings:
        """The limits that are set; where both have one, the one with less left."""
        tightest: Standings = {}
        for _, name, standing in self._by_limit():
            if name not in tightest or standing.remaining < tightest[name].remaining:
                tightest[name] = standing
        return tightest

    def refusal(self, lease: Lease) -> Refused | None:
        """The first limit that the lease would pass; None where there is room."""
        for scope, name, standing in self._by_limit():
            need = asked(name, lease.bound, lease.requests)
            if standing.spent + standing.reserved + need > standing.limit:
                return Refused(name, scope, standing, need, _retry_at(name, lease.reserved_at), self.standings())
        return None

    def _by_limit(self) -> list[tuple[str, LimitName, Standing]]:
        account = self.account.standings(self.caller.account.limits)
        key = self.key.standings(self.caller.key.limits)
        return [
            (scope, name, standings[name])
            for name in _ORDER
            for scope, standings in (("account", account), ("key", key))
            if name in standings
        ]


def asked(name: LimitName, bound: Bound, requests: int = 1) -> int:
    """What a lease of that bound needs of the limit: tokens, nano-dollars, its requests, or itself."""
    if name is LimitName.MONTHLY_BUDGET:
        return bound.nano
    if name is LimitName.REQUESTS_PER_MINUTE:
        return requests
    return bound.tokens if name in (LimitName.TOKENS_PER_MINUTE, LimitName.MONTHLY_TOKENS) else 1


def _retry_at(name: LimitName, now: int) -> int:
    if name.monthly:
        return next_month(now)
    # A running request may end at any time.
    return now + SECOND if name is LimitName.CONCURRENT_REQUESTS else next_minute(now)
