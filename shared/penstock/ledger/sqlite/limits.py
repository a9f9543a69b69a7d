"""The four limits, of an account and of a key: how far a caller is into them, and what is refused.

Only arithmetic: what is taken comes from windows.py.
"""

from dataclasses import dataclass

from penstock.clock import SECOND, next_minute, next_month
from penstock.ledger.records import Bound, Caller, LimitName, Limits, Refused, Standing, Standings

# Budget first: it lasts longest, so it is the most useful thing to say where several limits are reached.
_ORDER = (
    LimitName.MONTHLY_BUDGET,
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


@dataclass(frozen=True, slots=True)
class Taken:
    """What is taken of one scope's windows."""

    spent: Amount
    reserved: Amount
    live: int  # leases, of whatever minute

    def plus(self, bound: Bound) -> "Taken":
        """The same with one request more set aside."""
        more = Amount(self.reserved.requests + 1, self.reserved.tokens + bound.tokens, self.reserved.nano + bound.nano)
        return Taken(self.spent, more, self.live + 1)

    def standings(self, limits: Limits) -> Standings:
        """How far that is into each limit that is set, in the order in which they are reported."""
        spent, reserved = self.spent, self.reserved
        every = (
            (limits.monthly_budget, spent.nano, reserved.nano),
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

    def plus(self, bound: Bound) -> "Windows":
        """The same with one request more set aside."""
        return Windows(self.caller, self.account.plus(bound), self.key.plus(bound))

    def standings(self) -> Standings:
        """The limits that are set; where both have one, the one with less left."""
        tightest: Standings = {}
        for _, name, standing in self._by_limit():
            if name not in tightest or standing.remaining < tightest[name].remaining:
                tightest[name] = standing
        return tightest

    def refusal(self, bound: Bound, now: int) -> Refused | None:
        """The first limit that the bound would pass; None where there is room."""
        for scope, name, standing in self._by_limit():
            asked = _asked(name, bound)
            if standing.spent + standing.reserved + asked > standing.limit:
                return Refused(name, scope, standing, asked, _retry_at(name, now))
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


def _asked(name: LimitName, bound: Bound) -> int:
    if name is LimitName.MONTHLY_BUDGET:
        return bound.nano
    return bound.tokens if name is LimitName.TOKENS_PER_MINUTE else 1


def _retry_at(name: LimitName, now: int) -> int:
    if name is LimitName.MONTHLY_BUDGET:
        return next_month(now)
    # A running request may end at any time.
    return now + SECOND if name is LimitName.CONCURRENT_REQUESTS else next_minute(now)
