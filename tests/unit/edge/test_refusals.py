"""A flood of refused reservations: how many reach the ledger, and who is refused from memory."""

import asyncio
from dataclasses import replace

import pytest

from functions.edge import buckets
from functions.edge.refusals import BURST, Refusals
from penstock.clock import SECOND
from penstock.ledger import Account, Bound, Caller, Key, Lease, LimitName, Refused, Reserved, Standing
from penstock.prices import Price

pytestmark = pytest.mark.anyio

NOW = 1_790_000_000_000
CALLER = Caller(Account("acct", "one", 0), Key("key", "acct", "one", "0" * 64, 0))


def lease(tokens: int = 100, at: int = NOW, key_id: str = "key") -> Lease:
    """A reservation of so many tokens."""
    return Lease("req", "acct", key_id, "demo", Bound(tokens, tokens), Price("v", 1, 1, 1), at, at + SECOND)


class Ledger:
    """Refuses what is over `room` tokens; counts what it is asked."""

    def __init__(self, room: int = 0, limit: LimitName = LimitName.TOKENS_PER_MINUTE) -> None:
        self.room = room
        self.limit = limit
        self.asked = 0
        self.at_once = self.most_at_once = 0
        self.retry_after = 60 * SECOND

    async def reserve(self, caller: Caller, lease: Lease) -> Reserved | Refused:
        """What the protocol says."""
        self.asked += 1
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        if lease.bound.tokens <= self.room:
            return Reserved(lease, {})
        requested = lease.bound.tokens if self.limit is LimitName.TOKENS_PER_MINUTE else 1
        standing = Standing(self.room, 0, 0)
        return Refused(self.limit, "key", standing, requested, lease.reserved_at + self.retry_after)


@pytest.fixture(autouse=True)
def standing_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Buckets do not fill."""
    monkeypatch.setattr(buckets, "monotonic", lambda: 1_000.0)


async def flooded(ledger: Ledger) -> Refusals:
    """A key that was refused as often as it may be."""
    refusals = Refusals()
    for _ in range(BURST):
        assert isinstance(await refusals.reserve(ledger, CALLER, lease()), Refused)
    assert ledger.asked == BURST
    return refusals


async def test_beyond_the_burst_the_last_refusal_is_given_again() -> None:
    ledger = Ledger(room=50)
    refusals = await flooded(ledger)
    for tokens in (100, 1_000):
        again = await refusals.before(ledger).reserve(CALLER, lease(tokens))
        assert again == Refused(LimitName.TOKENS_PER_MINUTE, "key", Standing(50, 0, 0), tokens, NOW + 60 * SECOND)
    assert ledger.asked == BURST


async def test_a_request_that_needs_less_reaches_the_ledger() -> None:
    ledger = Ledger(room=50)
    refusals = await flooded(ledger)
    assert isinstance(await refusals.reserve(ledger, CALLER, lease(50)), Reserved)
    assert isinstance(await refusals.reserve(ledger, CALLER, lease(99)), Refused)
    assert ledger.asked == BURST + 2


async def test_where_the_limit_counts_requests_any_is_refused_from_memory() -> None:
    ledger = Ledger(limit=LimitName.REQUESTS_PER_MINUTE)
    refusals = await flooded(ledger)
    assert isinstance(await refusals.reserve(ledger, CALLER, lease(1)), Refused)
    assert ledger.asked == BURST


@pytest.mark.parametrize(("retry_after", "remembered"), [(60 * SECOND, SECOND), (300, 300)])
async def test_memory_lasts_a_second_and_never_past_the_time_to_try_again(retry_after: int, remembered: int) -> None:
    ledger = Ledger()
    ledger.retry_after = retry_after
    refusals = await flooded(ledger)
    await refusals.reserve(ledger, CALLER, lease(at=NOW + remembered - 1))
    assert ledger.asked == BURST
    ledger.room = 1_000
    assert isinstance(await refusals.reserve(ledger, CALLER, lease(at=NOW + remembered)), Reserved)


async def test_what_memory_cannot_answer_goes_one_at_a_time() -> None:
    """A thousand at once, when the memory has run out: one asks, the others are told what it heard."""
    ledger = Ledger()
    refusals = await flooded(ledger)
    late = lease(at=NOW + 2 * SECOND)
    outcomes = await asyncio.gather(*(refusals.reserve(ledger, CALLER, late) for _ in range(1_000)))
    assert all(isinstance(outcome, Refused) for outcome in outcomes)
    assert ledger.asked == BURST + 1
    ledger.room, ledger.most_at_once = 1_000, 0
    later = replace(late, reserved_at=NOW + 4 * SECOND)
    outcomes = await asyncio.gather(*(refusals.reserve(ledger, CALLER, later) for _ in range(20)))
    assert all(isinstance(outcome, Reserved) for outcome in outcomes)
    assert ledger.most_at_once == 1


async def test_another_key_is_none_the_worse() -> None:
    ledger = Ledger()
    refusals = await flooded(ledger)
    ledger.room = 1_000
    assert isinstance(await refusals.reserve(ledger, CALLER, lease(key_id="other")), Reserved)
    assert refusals.recall("other", Bound(1_000, 1_000), NOW) is None


async def test_the_bucket_fills_again(monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger()
    refusals = await flooded(ledger)
    monkeypatch.setattr(buckets, "monotonic", lambda: 1_001.0)
    for _ in range(100):
        await refusals.reserve(ledger, CALLER, lease())
    assert ledger.asked == BURST + 5


async def test_a_grant_takes_nothing_from_the_bucket() -> None:
    ledger = Ledger(room=1_000)
    refusals = Refusals()
    for _ in range(100):
        assert isinstance(await refusals.reserve(ledger, CALLER, lease()), Reserved)
    await flooded(Ledger())
