"""Refusals by the ledger, kept from becoming a flood: each costs the store a write, and a refused caller nothing.

A key may be refused BURST times at once and PER_SECOND after that. Beyond, the last refusal is given again
from memory, with its numbers, for at most a second or until its `retry_at`, and only to a request that
needs as much of that limit as the refused one did, or more. What memory cannot answer goes to the ledger
still, one request of a key at a time.

So one key that is refused costs a process's store, at most, BURST writes and then about PER_SECOND a second;
on top come those under way when the first was refused, and requests that each need less than all those
before, one after the other. A request can be refused from memory though room was made within that second.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field, replace

from functions.edge.buckets import Buckets
from penstock.admission import Reserving
from penstock.clock import SECOND
from penstock.ledger import Bound, Caller, Lease, Refused, Reserved
from penstock.ledger.limits import asked

BURST = 20
PER_SECOND = 5
KEYS = 10_000  # whose refusals are remembered


@dataclass(slots=True)
class _Past:
    """A key's last refusal, until when it is given again, and the turn to ask anew."""

    refused: Refused
    until: int
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Refusals:
    """What one process remembers of refusals, by key."""

    def __init__(self) -> None:
        self._allowed = Buckets(burst=BURST, per_second=PER_SECOND, most=KEYS)
        self._past: OrderedDict[str, _Past] = OrderedDict()

    def before(self, ledger: Reserving) -> Reserving:
        """The ledger, as the edge asks it for reservations."""
        return _Guarded(self, ledger)

    def recall(self, key_id: str, bound: Bound, now: int) -> Refused | None:
        """The refusal of such a request, where it need not be asked for again."""
        past = self._past.get(key_id)
        if past is None or now >= past.until or not self._allowed.empty(key_id):
            return None
        needed = asked(past.refused.limit, bound)
        return replace(past.refused, requested=needed) if needed >= past.refused.requested else None

    async def reserve(self, ledger: Reserving, caller: Caller, lease: Lease) -> Reserved | Refused:
        """The ledger's `reserve`, or the last refusal again."""
        past = self._past.get(lease.key_id)
        if past is None or not self._allowed.empty(lease.key_id):
            return self._noted(lease, await ledger.reserve(caller, lease))
        if refused := self.recall(lease.key_id, lease.bound, lease.reserved_at):
            return refused
        async with past.turn:
            if refused := self.recall(lease.key_id, lease.bound, lease.reserved_at):
                return refused
            return self._noted(lease, await ledger.reserve(caller, lease))

    def _noted(self, lease: Lease, outcome: Reserved | Refused) -> Reserved | Refused:
        if isinstance(outcome, Refused):
            self._allowed.take(lease.key_id)
            self._remember(lease, outcome)
        return outcome

    def _remember(self, lease: Lease, refused: Refused) -> None:
        until = min(refused.retry_at, lease.reserved_at + SECOND)
        past = self._past.setdefault(lease.key_id, _Past(refused, until))
        past.refused, past.until = refused, until
        self._past.move_to_end(lease.key_id)
        if len(self._past) > KEYS:
            self._past.popitem(last=False)


@dataclass(frozen=True, slots=True)
class _Guarded:
    refusals: Refusals
    ledger: Reserving

    async def reserve(self, caller: Caller, lease: Lease) -> Reserved | Refused:
        return await self.refusals.reserve(self.ledger, caller, lease)
