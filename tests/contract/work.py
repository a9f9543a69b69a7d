"""Whole requests, many at a time, and what each came to as far as those who made it know.

Every message is delivered twice, at the same time. Some holders go away half-way; some of these settle after
all, long after their lease was closed. Where the ledger is unavailable the caller calls again, as the
processes do.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import TypeVar

from penstock.clock import MINUTE
from penstock.ledger import Bound, Caller, Claim, Lease, Ledger, LedgerUnavailable, Reserved, Settled, Usage
from tests.contract.samples import NOW, lease_of

T = TypeVar("T")

CLAIMED = Bound(80, 160_000)
DEADLINE = NOW + MINUTE
DEAD = DEADLINE + 1
LONGEST_CUT = 0.03  # seconds: about as long as a settlement takes


class Fate(StrEnum):
    """How far a request gets."""

    SETTLED = "settled"
    RELEASED = "released"
    RESERVED = "reserved, and never heard of again"
    CLAIMED = "claimed, and never heard of again"
    CHECKPOINTED = "checkpointed, and never heard of again"
    CUT_OFF = "cut off in its settlement"


@dataclass
class Work:
    """So many requests of these callers."""

    ledger: Ledger
    callers: Sequence[Caller]
    used: dict[str, Usage] = field(default_factory=dict)  # by request: what is to be booked in the end
    unsure: dict[str, Usage] = field(default_factory=dict)  # what is to be booked, or only the last checkpoint
    owing: list[tuple[Lease, Usage]] = field(default_factory=list)  # still to be settled
    fates: Counter[Fate] = field(default_factory=Counter)
    unavailable: int = 0
    refused: int = 0

    async def stubborn(self, call: Callable[[], Awaitable[T]]) -> T:
        """Call until the ledger answers."""
        while True:
            try:
                return await call()
            except LedgerUnavailable:
                self.unavailable += 1

    async def twice(self, call: Callable[[], Awaitable[T]]) -> list[T]:
        """Deliver a message twice, at the same time."""
        return list(await asyncio.gather(self.stubborn(call), self.stubborn(call)))

    async def requests(self, count: int, *, at_once: int) -> None:
        """Make them."""
        numbers = iter(range(count))

        async def worker() -> None:
            for number in numbers:
                await self.request(number)

        await asyncio.gather(*(worker() for _ in range(at_once)))

    async def request(self, number: int) -> None:
        """One, of whatever fate its number gives it."""
        chance = random.Random(number)
        caller = self.callers[number % len(self.callers)]
        name = f"req_{number}"
        wanted = lease_of(caller, name, deadline=DEADLINE, requests=requests_of(name))
        outcomes = await self.twice(lambda: self.ledger.reserve(caller, wanted))
        granted = [outcome.lease for outcome in outcomes if isinstance(outcome, Reserved)]
        if not granted:
            self.refused += 1
            return
        fate = chance.choices(list(Fate), weights=[8, 1, 1, 1, 2, 4])[0]
        self.fates[fate] += 1
        await self.live(granted[0], fate, chance)

    async def live(self, lease: Lease, fate: Fate, chance: random.Random) -> None:
        """The granted request's life, as far as it goes."""
        usage = Usage(chance.randint(1, 20), chance.randint(0, 1), chance.randint(0, 60))
        if chance.random() < 0.5 and fate in (Fate.RESERVED, Fate.CLAIMED, Fate.CHECKPOINTED):
            self.owing.append((lease, usage))  # it is not as dead as it looks
        if fate is Fate.RELEASED:
            await self.twice(lambda: self.ledger.release(lease, NOW))
        if fate in (Fate.RELEASED, Fate.RESERVED):
            return
        claims = await self.twice(lambda: self.ledger.claim(lease, "a", CLAIMED, NOW, DEADLINE))
        assert claims == [Claim.CLAIMED] * 2
        self.used[lease.id] = Usage()
        if fate is Fate.CLAIMED:
            return
        half = Usage(usage.prompt_tokens, usage.cached_prompt_tokens, usage.completion_tokens // 2)
        assert await self.twice(lambda: self.ledger.checkpoint(lease, "a", half, DEADLINE)) == [True, True]
        self.used[lease.id] = half
        if fate is Fate.CHECKPOINTED:
            return
        if fate is Fate.CUT_OFF:
            await self.begin_to_settle(lease, usage, chance)
            if chance.random() < 0.5:
                self.owing.append((lease, usage))
            else:
                self.unsure[lease.id] = usage
            return
        settled = await self.twice(lambda: self.ledger.settle(lease, usage, "stop", NOW))
        assert Settled.LATE not in settled
        assert settled.count(Settled.FIRST) <= 1  # of none, the first one's answer was lost
        self.used[lease.id] = usage

    async def begin_to_settle(self, lease: Lease, usage: Usage, chance: random.Random) -> None:
        """The process ends somewhere in the settlement, or before it, or after it."""
        settling = asyncio.create_task(self.stubborn(lambda: self.ledger.settle(lease, usage, "stop", NOW)))
        await asyncio.wait({settling}, timeout=chance.uniform(0, LONGEST_CUT))
        settling.cancel()
        await asyncio.gather(settling, return_exceptions=True)

    async def close_the_dead(self) -> None:
        """Two at once, until there is nothing left to close."""

        async def reaper() -> None:
            while await self.stubborn(lambda: self.ledger.expire(DEAD)):
                pass

        await asyncio.gather(reaper(), reaper())

    async def make_sure(self) -> None:
        """Look what became of those who were cut off in their settlement, and did not come back."""
        for request_id, usage in self.unsure.items():
            record = await self.stubborn(partial(self.ledger.record, request_id))
            assert record is not None
            assert record.usage == (self.used[request_id] if record.provisional else usage)
            self.used[request_id] = record.usage

    async def settle_late(self) -> None:
        """All that is owing, each twice at once; some were cut off in that before."""

        async def settle(lease: Lease, usage: Usage) -> None:
            chance = random.Random(lease.id)
            if chance.random() < 0.5:
                await self.begin_to_settle(lease, usage, chance)
            assert Settled.FIRST not in await self.twice(lambda: self.ledger.settle(lease, usage, "stop", DEAD))
            self.used[lease.id] = usage

        await asyncio.gather(*(settle(lease, usage) for lease, usage in self.owing))


def requests_of(request_id: str) -> int:
    """How many requests the lease of that id stands for: mostly one."""
    return 3 if request_id.endswith("7") else 1


def total(usages: Iterable[Usage]) -> tuple[int, int, int]:
    """Added up: prompt, cached and completion tokens."""
    used = list(usages)
    return (
        sum(one.prompt_tokens for one in used),
        sum(one.cached_prompt_tokens for one in used),
        sum(one.completion_tokens for one in used),
    )
