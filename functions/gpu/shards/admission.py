"""What may be begun now: whether the caller may still have it, how much of it, and a lease for it.

Everything is asked anew for each slice, so that a key which is revoked, a limit that is lowered or a switch that is
turned off holds from the next slice on. What passes with time is waited for; what does not is told to the lines.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from functions.gpu.service import Service
from functions.gpu.shards.giving_back import give_back
from functions.gpu.shards.headroom import Headroom, headroom, limited, one_by_one
from functions.gpu.shards.line import Line, Terms, read_line, refused
from functions.gpu.shards.slices import Group
from penstock.admission import request_id_of
from penstock.batches.log import Result
from penstock.batches.orders import Order
from penstock.clock import MINUTE, SECOND, now_ms
from penstock.entitlement import denied, require_entitled, require_switched_on
from penstock.errors import ApiError
from penstock.ledger import AccessDenied, Bound, Caller, Lease, LedgerUnavailable, Refused, Reserved
from penstock.refusals import no_price, refusal

LEASE = 60 * MINUTE  # a slice's: nothing renews it, and one that takes longer is booked all the same
MOST_ANSWERS = 8 << 20  # bytes that the answers of a slice are expected to have; those of a line alone may be more
MOST_LINES = 1 << 10
LEAST_WAIT_S, MOST_WAIT_S = 0.2, 5.0  # until it is looked at again
LEDGER_WITHIN_S = 15.0
LEDGER_AWAY_S = 1.0  # until it is asked again


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing may be begun for so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Told:
    """The first lines of a group, and what they are told instead of an answer."""

    results: Sequence[Result]


@dataclass(frozen=True, slots=True)
class Chosen:
    """The first lines of a group: those that may be answered, and what the others among them are told."""

    terms: Terms
    lines: Sequence[Line]
    told: Sequence[Result]

    @property
    def bound(self) -> Bound:
        """Of all that may be answered."""
        return Bound(sum(line.bound.tokens for line in self.lines), sum(line.bound.nano for line in self.lines))


class Admission:
    """That of one attempt at a shard."""

    def __init__(self, service: Service, order: Order, attempt: int) -> None:
        self._service = service
        self._order = order
        self._names = (f"{order.batch_id}/{order.shard}/{attempt}/{number}" for number in count())  # of leases
        self._most = MOST_LINES  # as many as were lately found to fit into what is left of a limit

    async def choose(self, group: Group) -> Wait | Told | Chosen:
        """Which of the first lines may be begun now. Raises Unavailable where nobody is served at all."""
        ledger = self._service.ledger
        try:
            async with asyncio.timeout(LEDGER_WITHIN_S):
                caller, switch = await asyncio.gather(ledger.caller(self._order.key_id), ledger.switch())
                room = await self._headroom(caller)
        except (LedgerUnavailable, TimeoutError):
            return Wait(LEDGER_AWAY_S)
        require_switched_on(switch)
        try:
            terms = self._terms(caller)
        except AccessDenied:
            error = denied(caller, now_ms())
            return Told([refused(line, self._order.batch_id, error) for line in group.lines])
        if not room.any:
            return Wait(MOST_WAIT_S)
        most = 1 if one_by_one(terms.caller) else self._most
        return _fitting(group, terms, room, most)

    async def reserve(self, chosen: Chosen) -> Wait | Told | Lease:
        """A lease for the lines that were chosen; a line for which there can never be one is told so."""
        lease = self._lease(chosen)
        try:
            outcome = await self._reserved(chosen.terms.caller, lease)
        except AccessDenied:
            return Wait(LEAST_WAIT_S)  # the lines are told why, when it is asked again
        except (LedgerUnavailable, TimeoutError):
            await give_back(self._service.bookkeeper, lease)  # it may be the answer that was lost
            return Wait(LEDGER_AWAY_S)
        if isinstance(outcome, Refused):
            return self._refused(chosen, outcome)
        self._most = min(2 * self._most, MOST_LINES)
        return outcome.lease

    async def _headroom(self, caller: Caller | None) -> Headroom:
        if caller is None or not limited(caller):
            return Headroom()
        return headroom(await self._service.ledger.standings(caller, now_ms()))

    def _terms(self, caller: Caller | None) -> Terms:
        """Raises AccessDenied; Unavailable where the model has no price."""
        service, now = self._service, now_ms()
        if caller is None or caller.account.id != self._order.account_id:
            raise AccessDenied
        try:
            require_entitled(caller, now)
        except ApiError as error:
            raise AccessDenied from error
        price = service.model.price_at(now, batch=True)
        if price is None:
            raise no_price(service.model)
        return Terms(
            batch_id=self._order.batch_id,
            model=service.model,
            caller=caller,
            price=price,
            max_body_bytes=service.settings.max_body_bytes,
            embedding_size=service.engine.embedding_size,
        )

    def _lease(self, chosen: Chosen) -> Lease:
        now, caller = now_ms(), chosen.terms.caller
        return Lease(
            id=request_id_of(next(self._names)),
            account_id=caller.account.id,
            key_id=caller.key.id,
            model=chosen.terms.model.name,
            bound=chosen.bound,
            price=chosen.terms.price,
            reserved_at=now,
            deadline=now + LEASE,
            requests=len(chosen.lines),
        )

    async def _reserved(self, caller: Caller, lease: Lease) -> Reserved | Refused:
        """Raises AccessDenied, LedgerUnavailable, TimeoutError."""
        async with asyncio.timeout(LEDGER_WITHIN_S):
            while True:
                try:
                    return await self._service.ledger.reserve(caller, lease)
                except LedgerUnavailable:
                    await asyncio.sleep(LEDGER_AWAY_S)

    def _refused(self, chosen: Chosen, outcome: Refused) -> Wait | Told:
        """Fewer lines may fit. For one that may fit later it is waited."""
        if len(chosen.lines) > 1:
            self._most = len(chosen.lines) // 2
            return Wait(0)
        now = now_ms()
        spent = outcome.standing.spent if outcome.limit.monthly else 0
        if outcome.requested + spent > outcome.standing.limit:  # even once all that is set aside has come back
            return Told([*chosen.told, chosen.lines[0].refused(refusal(outcome, now))])
        return Wait(min(max((outcome.retry_at - now) / SECOND, LEAST_WAIT_S), MOST_WAIT_S))


def _fitting(group: Group, terms: Terms, room: Headroom, most: int) -> Told | Chosen:
    """The first lines, as many as fit into what there is; the first that may be answered always does."""
    lines: list[Line] = []
    told: list[Result] = []
    tokens = answers = 0
    for each in group.lines:
        try:
            line = read_line(each, terms)
        except ApiError as error:
            told.append(refused(each, terms.batch_id, error))
            continue
        tokens, answers = tokens + line.bound.tokens, answers + line.answer_bytes
        full = len(lines) >= min(most, room.requests) or tokens > room.tokens or answers > MOST_ANSWERS
        if lines and full:
            break
        lines.append(line)
    return Chosen(terms, lines, told) if lines else Told(told)
