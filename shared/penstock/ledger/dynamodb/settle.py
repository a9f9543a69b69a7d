"""Settle: the record and the sum that holds it in one transaction, then the release of the lease.

    settle     ├ transaction ──────────────────────────┤├ release ┤
    record     settled, if nobody was before              -
    sum        + requests, tokens, nano-dollars           -
    account    -                                          counts down to what was used, live lease out

A settlement that comes after its lease was closed books the difference in the same way; then it adds it to
the account's counts, once, under its name in `late`.

The account's item is in no transaction: it is written with every reservation, and would disturb them and be
disturbed. A settlement that is cut off between the two is finished by its own repetition, or by `expire`,
which finds a live lease whose record is settled.
"""

from dataclasses import dataclass

from penstock.ledger.dynamodb.expression import Update, both, either
from penstock.ledger.dynamodb.give_back import announce, pay, release
from penstock.ledger.dynamodb.keys import request_key, sum_key
from penstock.ledger.dynamodb.meter import Member
from penstock.ledger.dynamodb.request import (
    CLAIMED,
    LOST,
    SETTLED,
    aside_of,
    counted,
    counted_of,
    owed,
    owed_of,
    record,
    requests_of,
    usage_of,
    usage_values,
)
from penstock.ledger.dynamodb.table import ConditionFailed, Table
from penstock.ledger.dynamodb.values import Item
from penstock.ledger.limits import Amount
from penstock.ledger.records import Bound, Lease, Settled, Usage
from penstock.ledger.rules import bound_of, held_to


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a request used, and how it ended."""

    lease: Lease
    usage: Usage
    outcome: str
    now: int

    @property
    def bound(self) -> Bound:
        """What the usage comes to."""
        return bound_of(self.usage, self.lease.price)

    @property
    def amount(self) -> Amount:
        """The same, with its requests."""
        return Amount(self.lease.requests, self.bound.tokens, self.bound.nano, self.bound.tokens)

    def record(self) -> Update:
        """The record, settled."""
        update = record(self.lease)
        if self.lease.requests == 1:  # a claim may have said more
            update.remove(("requests",))
        return update.set(
            state=SETTLED,
            nano=self.bound.nano,
            outcome=self.outcome,
            settled_at=self.now,
            **usage_values(self.usage),
        )


async def settle(table: Table, settlement: Settlement) -> Settled:
    """Book the usage once. See the protocol."""
    held_to(settlement.lease.bound, settlement.bound)
    known = await _book(table, settlement)
    if known is None:
        await _close(table, settlement.lease, settlement.amount, settlement.now)
        return Settled.FIRST
    while known["state"] not in (SETTLED, CLAIMED):  # lost, or closed unclaimed
        await announce(table, settlement.lease, settlement.now)
        correction = await _correct(table, settlement, known)
        if correction is not None:
            await _pay(table, settlement.lease, correction, settlement.now)
            return Settled.LATE
        known = await table.get(request_key(settlement.lease.id)) or {"state": SETTLED}
    if known["state"] == CLAIMED:
        held_to(aside_of(known), settlement.bound)
        return await settle(table, settlement)  # it was claimed in between, for enough
    await _finish(table, settlement, known)
    return Settled.REPEATED


async def _book(table: Table, settlement: Settlement) -> Item | None:
    """Make the record, and count it; the record that stands in the way."""
    update = settlement.record().set(**counted(settlement.amount))
    # Nothing has closed it: the guard that makes a settlement happen once.
    not_closed = either(update.absent("pk"), update.equals("state", to=CLAIMED))
    # What was used was set aside: by the claim, if there was one, or else by the lease.
    within_bound = either(
        update.absent("aside_tokens"),
        both(
            update.at_least("aside_tokens", settlement.bound.tokens),
            update.at_least("aside_nano", settlement.bound.nano),
        ),
    )
    total = added(settlement.lease, settlement.lease.requests, settlement.usage, settlement.bound.nano)
    try:
        await table.transact(update.where(not_closed, within_bound), total)
    except ConditionFailed as failed:
        return failed.item or await table.get(request_key(settlement.lease.id)) or {"state": SETTLED}
    return None


async def _correct(table: Table, settlement: Settlement, known: Item) -> Amount | None:
    """Settle what was closed, and count the difference; None where another was first."""
    before, state = usage_of(known), known["state"]
    if state == LOST:
        held_to(aside_of(known), settlement.bound)
    requests = settlement.lease.requests - (requests_of(known) if state == LOST else 0)
    nano = settlement.bound.nano - known.get("nano", 0)
    tokens = settlement.usage.total_tokens - before.total_tokens
    difference = Amount(requests, tokens, nano, tokens)
    update = settlement.record().set(**owed(difference))
    # It was closed, and nobody has settled it since.
    still_closed = update.equals("state", to=state)
    total = added(settlement.lease, requests, settlement.usage, nano, before)
    try:
        await table.transact(update.where(still_closed), total)
    except ConditionFailed:
        return None
    return difference


async def _finish(table: Table, settlement: Settlement, known: Item) -> None:
    """Do what an earlier settlement of the request may have left."""
    lease = settlement.lease
    if (left := owed_of(known)) is not None:
        await _pay(table, lease, left, settlement.now)
    if "counted_tokens" in known:
        await _close(table, lease, counted_of(known), settlement.now)


async def _close(table: Table, lease: Lease, used: Amount, now: int) -> None:
    await release(table, lease.account_id, lease.id, Member.of(lease, lease.bound), used=used, now=now)


async def _pay(table: Table, lease: Lease, left: Amount, now: int) -> None:
    await pay(table, lease, left, now)
    await settled_up(table, lease.id)


async def settled_up(table: Table, request_id: str) -> None:
    """Let the record say that nothing is owed."""
    update = Update(request_key(request_id)).remove(*((name,) for name in owed(Amount(0, 0, 0, 0))))
    await table.update(update.where(update.exists("pk")))


def added(lease: Lease, requests: int, usage: Usage, nano: int, before: Usage | None = None) -> Update:
    """The sum of the lease's day with this usage more, or with its difference to what it was before."""
    earlier = before or Usage()
    return Update(sum_key(lease)).add(
        {
            "requests": requests,
            "prompt_tokens": usage.prompt_tokens - earlier.prompt_tokens,
            "cached_prompt_tokens": usage.cached_prompt_tokens - earlier.cached_prompt_tokens,
            "completion_tokens": usage.completion_tokens - earlier.completion_tokens,
            "nano": nano,
        }
    )
