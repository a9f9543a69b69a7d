"""Headroom: how much of a caller's limits a batch may take now, so that there is always some left for requests.

Of what is counted by the minute, and of requests at once, half of each limit is left to whoever waits for an answer.
A line that needs more than half alone may have it as long as less than half is taken. It is looked at just before a
slice is reserved, so workers that look at the same moment may together take a little more; the limits themselves hold.
"""

from dataclasses import dataclass

from penstock.ledger import Caller, LimitName, Standings
from penstock.ledger.records import MOST

SHARED = (LimitName.REQUESTS_PER_MINUTE, LimitName.TOKENS_PER_MINUTE, LimitName.CONCURRENT_REQUESTS)


@dataclass(frozen=True, slots=True)
class Headroom:
    """So many requests and tokens, in one slice."""

    requests: int = MOST
    tokens: int = MOST

    @property
    def any(self) -> bool:
        """Whether there is some: then one line may be begun, whatever it needs."""
        return self.requests > 0 and self.tokens > 0


def limited(caller: Caller) -> bool:
    """Whether there is any limit that batches have to leave some of."""
    return any(getattr(of.limits, name) is not None for of in (caller.account, caller.key) for name in SHARED)


def one_by_one(caller: Caller) -> bool:
    """Whether each line has to be reserved alone, because requests at once are limited and a lease counts as one."""
    return any(of.limits.concurrent_requests is not None for of in (caller.account, caller.key))


def headroom(standings: Standings) -> Headroom:
    """What is left for a batch, of the limits that are set."""
    free = {name: standings[name].remaining - standings[name].limit // 2 for name in SHARED if name in standings}
    if free.get(LimitName.CONCURRENT_REQUESTS, 1) <= 0:
        return Headroom(0, 0)
    return Headroom(
        max(0, free.get(LimitName.REQUESTS_PER_MINUTE, MOST)), max(0, free.get(LimitName.TOKENS_PER_MINUTE, MOST))
    )
