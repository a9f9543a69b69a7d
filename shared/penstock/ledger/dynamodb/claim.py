"""Claim and checkpoint: writes on the request's record alone.

The first try of each is right unless something has gone wrong before. Where its condition fails, the record
comes back as it is; what follows from that is decided here and written where the record is still so.
"""

from penstock.ledger.dynamodb.expression import Update
from penstock.ledger.dynamodb.give_back import shrink
from penstock.ledger.dynamodb.keys import request_key
from penstock.ledger.dynamodb.request import (
    CLAIMED,
    aside_of,
    price_of,
    record,
    usage_of,
    usage_values,
)
from penstock.ledger.dynamodb.table import ConditionFailed, Table
from penstock.ledger.dynamodb.values import Item
from penstock.ledger.records import Bound, Claim, Lease, Usage
from penstock.ledger.rules import bound_of, held_to


async def claim(table: Table, lease: Lease, attempt: str, bound: Bound, *, now: int, deadline: int) -> Claim:
    """Take the lease up, and shrink what it has set aside. See the protocol."""
    held_to(lease.bound, bound)
    outcome = await _claim(table, lease, attempt, bound, now=now, deadline=deadline)
    if outcome is Claim.CLAIMED and lease.tight and bound != lease.bound:
        await shrink(table, lease, bound)
    return outcome


async def _claim(table: Table, lease: Lease, attempt: str, bound: Bound, *, now: int, deadline: int) -> Claim:
    known = await _begin(table, lease, attempt, bound, now=now, deadline=deadline)
    while known is not None:
        if known["state"] != CLAIMED:
            return Claim.CLOSED
        held_to(aside_of(known), bound)
        ours = known["attempt"] == attempt
        if not ours and known["deadline"] >= now:
            return Claim.TAKEN
        if ours and aside_of(known) == bound and known["deadline"] >= deadline:
            return Claim.CLAIMED  # a repetition, perhaps overtaken by a checkpoint
        until = max(deadline, known["deadline"]) if ours else deadline
        again = _unchanged(Update(request_key(lease.id)), known)
        again.set(attempt=attempt, aside_tokens=bound.tokens, aside_nano=bound.nano, deadline=until)
        known = await _tried(table, again)
    return Claim.CLAIMED


async def _begin(table: Table, lease: Lease, attempt: str, bound: Bound, *, now: int, deadline: int) -> Item | None:
    """The first claim of all; the record where it is not, or may not be any more."""
    if now > lease.deadline:
        return await table.get(request_key(lease.id)) or {"state": "past its deadline"}
    first = record(lease).set(
        state=CLAIMED,
        attempt=attempt,
        aside_tokens=bound.tokens,
        aside_nano=bound.nano,
        deadline=deadline,
        used_tokens=0,
        used_nano=0,
    )
    # Nobody has claimed, released, expired or settled it.
    untouched = first.absent("pk")
    return await _tried(table, first.where(untouched))


async def checkpoint(table: Table, lease: Lease, attempt: str, used: Usage, deadline: int) -> bool:
    """Keep the usage so far, and renew the deadline. See the protocol."""
    bound = bound_of(used, lease.price)
    known = await _tried(table, _checkpoint(lease, attempt, used, bound, deadline))
    while known is not None:
        held_to(aside_of(known) if known.get("state") == CLAIMED else lease.bound, bound)
        if known.get("state") != CLAIMED or known["attempt"] != attempt:
            return False
        more = bound_of(usage_of(known), price_of(known)).within(bound)
        usage = used if more else usage_of(known)
        again = _unchanged(Update(request_key(lease.id)), known)
        again.set(deadline=max(deadline, known["deadline"]), **_progress(usage, bound_of(usage, lease.price)))
        known = await _tried(table, again)
    return True


def _checkpoint(lease: Lease, attempt: str, used: Usage, bound: Bound, deadline: int) -> Update:
    update = Update(request_key(lease.id))
    # The request runs, and it is this attempt that runs it.
    still_ours = (update.equals("state", to=CLAIMED), update.equals("attempt", to=attempt))
    # What is reported was set aside.
    within_bound = (update.at_least("aside_tokens", bound.tokens), update.at_least("aside_nano", bound.nano))
    # Nothing newer is overwritten: checkpoints can overtake one another.
    newest = (
        update.at_most("used_tokens", bound.tokens),
        update.at_most("used_nano", bound.nano),
        update.at_most("deadline", deadline),
    )
    update.where(*still_ours, *within_bound, *newest)
    return update.set(deadline=deadline, **_progress(used, bound))


def _progress(usage: Usage, bound: Bound) -> dict[str, int]:
    counts = {name: value for name, value in usage_values(usage).items() if isinstance(value, int)}
    return counts | {"used_tokens": bound.tokens, "used_nano": bound.nano}


def _unchanged(update: Update, known: Item) -> Update:
    names = ("state", "attempt", "deadline", "aside_tokens", "aside_nano", "used_tokens", "used_nano")
    return update.where(*(update.equals(name, to=known[name]) for name in names))


async def _tried(table: Table, update: Update) -> Item | None:
    """None where the write was made; otherwise the record, empty where there is none."""
    try:
        await table.update(update)
    except ConditionFailed as failed:
        return failed.item or {}
    return None
