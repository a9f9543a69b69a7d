"""Clients who all want the last of one limit: each tries again on a refusal, and some die with their request.

Every standing that they are told of is held to the promise: what is spent and set aside is never over a limit.
"""

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum

from penstock.clock import SECOND
from penstock.ledger import Bound, Caller, Claim, Lease, Ledger, LimitName, Refused, Settled, Standing, Standings, Usage
from tests.contract.samples import NOW, PRICE, lease_of

HOLD = 20 * SECOND  # of a lease; what dies at NOW is dead in the same minute
_LONGEST_PAUSE = 4.0  # seconds; shorter ones of 200 clients are more than the emulator answers on a busy machine
_CALLED = 5  # of those who wait, when one has ended: enough to be too many
_MOST_WORK = 0.02  # seconds


class Ended(StrEnum):
    """How a client ended."""

    SETTLED = "settled"
    DIED = "died"
    GAVE_UP = "gave up"


@dataclass
class Client:
    """One client: how its request ended, and what the ledger has to book for it."""

    name: str
    dies_after: str  # "reserve", "claim", "checkpoint"; or never: ""
    ended: Ended | None = None
    used: Usage = field(default_factory=Usage)


class Rush:
    """The clients of one caller. `unit` is a thousandth of what there is to have, in tokens."""

    def __init__(self, ledger: Ledger, caller: Caller, limit: LimitName, *, unit: int = 1) -> None:
        self.ledger, self.caller, self.limit, self.unit = ledger, caller, limit, unit
        self.bound = Bound(90 * unit, 90 * unit * PRICE.completion)
        self.claimed = Bound(80 * unit, 80 * unit * PRICE.completion)
        self.now = NOW
        self.working = 0
        self.dead: list[Lease] = []
        self.clients: list[Client] = []
        self._random = random.Random(1)
        self._calls = asyncio.Semaphore(0)

    async def run(self, count: int, *, mortality: float) -> None:
        """So many at once, while somebody watches; until each has been served, has died or has given up."""
        watching = asyncio.create_task(self._watch())
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(self.client(mortality=mortality))
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching  # which raises what it saw

    async def client(self, *, mortality: float = 0.0) -> Client:
        """One of them, from its first try to its end."""
        mortal = self._random.random() < mortality
        death = self._random.choice(("reserve", "claim", "checkpoint")) if mortal else ""
        client = Client(f"req_{len(self.clients)}", death)
        self.clients.append(client)
        lease = await self._reserved(client.name)
        if lease is None:
            client.ended = Ended.GAVE_UP
        else:
            client.ended = await self._serve(client, lease)
            self.working -= 1
            for _ in range(_CALLED):
                self._calls.release()
            if client.ended is Ended.DIED:
                self.dead.append(lease)
        return client

    async def standing(self) -> Standing:
        """Of the one limit there is, as it is now."""
        standings = await self.ledger.standings(self.caller, self.now)
        within_limits(standings)
        return standings[self.limit]

    async def _watch(self) -> None:
        while True:
            await self.standing()
            await asyncio.sleep(0.025)

    async def _reserved(self, name: str) -> Lease | None:
        while True:
            at, alone = self.now, not self.working
            lease = lease_of(self.caller, name, bound=self.bound, at=at, deadline=at + HOLD)
            outcome = await self.ledger.reserve(self.caller, lease)
            assert self.limit in outcome.standings
            within_limits(outcome.standings)
            if not isinstance(outcome, Refused):
                self.working += 1
                return outcome.lease
            assert outcome.limit is self.limit
            if self.limit is LimitName.CONCURRENT_REQUESTS:
                self._wait_for_the_dead(outcome)
            elif alone:
                return None  # what is spent does not come back
            if self.now == at:
                await self._called()

    async def _called(self) -> None:
        """Wait until somebody has ended, or for a while."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._random.uniform(_LONGEST_PAUSE / 4, _LONGEST_PAUSE)):
                await self._calls.acquire()

    def _wait_for_the_dead(self, outcome: Refused) -> None:
        """Let time pass where only they hold slots."""
        if outcome.standing.reserved == sum(lease.deadline >= self.now for lease in self.dead):
            self.now += HOLD + 1

    async def _serve(self, client: Client, lease: Lease) -> Ended:
        # On its way for longer than it lasts: time has passed over it, and others may have had it already.
        if client.dies_after == "reserve" or lease.deadline < self.now:
            return Ended.DIED
        deadline = lease.deadline
        claim = await self.ledger.claim(lease, "a", self.claimed, lease.reserved_at, deadline)
        assert claim is Claim.CLAIMED
        if client.dies_after == "claim":
            return Ended.DIED
        await asyncio.sleep(self._random.uniform(0, _MOST_WORK))
        client.used = Usage(20 * self.unit, 0, self._random.randint(0, 60) * self.unit)
        if client.dies_after == "checkpoint":
            assert await self.ledger.checkpoint(lease, "a", client.used, deadline)
            return Ended.DIED
        assert await self.ledger.settle(lease, client.used, "stop", lease.reserved_at) is Settled.FIRST
        return Ended.SETTLED


def within_limits(standings: Standings) -> None:
    """The promise, at one moment."""
    for name, standing in standings.items():
        assert standing.spent + standing.reserved <= standing.limit, (name, standing)
