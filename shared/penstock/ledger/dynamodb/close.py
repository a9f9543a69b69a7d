"""Closing leases: given back unclaimed, or dead.

First the record says that the lease is closed, so that nobody claims it any more; then the account's item
lets go of it. Whoever is cut off between the two leaves a live lease whose record is closed, and the next
one to come by lets go of it. So any number of them may run at once.
"""

import asyncio
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from penstock.clock import SECOND, minute_of
from penstock.ledger.dynamodb.callers import account_items
from penstock.ledger.dynamodb.expression import Update
from penstock.ledger.dynamodb.give_back import pay, release
from penstock.ledger.dynamodb.keys import PARTITION, account_key, request_key
from penstock.ledger.dynamodb.meter import Member, live_of, request_id_of, stale
from penstock.ledger.dynamodb.request import (
    BOOKED,
    CLAIMED,
    CLOSED,
    KEPT,
    LOST,
    counted,
    counted_of,
    lease_of,
    owed_of,
    price_of,
    usage_of,
)
from penstock.ledger.dynamodb.schema import EXPIRES
from penstock.ledger.dynamodb.settle import added, settled_up
from penstock.ledger.dynamodb.table import ConditionFailed, Table
from penstock.ledger.dynamodb.values import Item
from penstock.ledger.limits import Amount
from penstock.ledger.records import Lease
from penstock.ledger.rules import LOST_OUTCOME, bound_of

_CLOSED_AT_ONCE = 100  # leases in one call of `expire`
_AT_THE_SAME_TIME = 16  # requests to the table
_NOTHING = Amount(0, 0, 0, 0)
# An unclaimed lease is taken to be alive for so long; one that is claimed for less is seen to be dead that late.
_SHORTEST_CLAIM = 30 * SECOND
# For how long a late settlement's name is kept at least, against a repetition that has read its record before it
# was paid: those of one call take seconds. A later repetition finds nothing owed.
_LATE_KEPT = 15  # minutes
_OLD_MINUTES = 10  # before these, counts are dropped even where nobody reserves


@dataclass(frozen=True, slots=True)
class DeadLease:
    """A live lease that nobody holds any more, with its record, if it has one."""

    account_id: str
    request_id: str
    member: Member
    record: Item | None


async def give_back(table: Table, lease: Lease, now: int) -> bool:
    """Close an unclaimed lease as if it had never been reserved. False where it is not unclaimed."""
    closed = await _close_unclaimed(table, lease.id, now)
    if closed is not None and closed["state"] != CLOSED:
        return False
    member = Member.of(lease, lease.bound)
    gone = await release(table, lease.account_id, lease.id, member, used=_NOTHING, now=now)
    return gone or closed is None


async def expire(table: Table, now: int) -> Sequence[str]:
    """Close leases past their deadline, of all accounts; tidy the accounts up. See the protocol."""
    closed: list[str] = []
    for item in await account_items(table):
        dead = await dead_leases(table, item, now)
        closed += await close_dead(table, dead, now, limit=_CLOSED_AT_ONCE - len(closed))
        if len(closed) >= _CLOSED_AT_ONCE:
            break
        await _tidy(table, item, now)
    return closed


async def dead_leases(table: Table, account: Item, now: int, *, alive: dict[str, int] | None = None) -> list[DeadLease]:
    """The account's leases past their deadline, and those that were closed and not let go of, the longest dead first.

    The deadline of a claimed lease is in its record, which is read. `alive` spares a caller who comes often
    the reading: it is kept from call to call, and says until when each lease has been seen to be alive.
    """
    awake = {} if alive is None else alive
    live = live_of(account)
    for name in awake.keys() - live.keys():
        del awake[name]
    suspects = [name for name, member in live.items() if member.deadline < now or awake.get(name, -1) < now]
    found = await table.get_all([request_key(request_id_of(name)) for name in suspects])
    records = {item[PARTITION]: item for item in found}
    dead = []
    for name in sorted(suspects, key=lambda name: live[name].deadline):
        record = records.get(request_key(request_id_of(name))[PARTITION])
        until = _alive_until(record, live[name], now)
        if until < now:
            dead.append(DeadLease(account["id"], request_id_of(name), live[name], record))
        elif alive is not None:
            alive[name] = until
    return dead


def _alive_until(record: Item | None, member: Member, now: int) -> int:
    if record is None:
        # It may be claimed at any time, for at least so long.
        return member.deadline if member.deadline < now else min(now + _SHORTEST_CLAIM, member.deadline)
    until: int = record["deadline"] if record["state"] == CLAIMED else -1
    return until


async def close_dead(table: Table, dead: Sequence[DeadLease], now: int, *, limit: int = _CLOSED_AT_ONCE) -> list[str]:
    """Close them; the ids of those that were closed here, and not by another at the same time."""
    closed: list[str] = []
    for begin in range(0, len(dead), _AT_THE_SAME_TIME):
        some = dead[begin : begin + min(_AT_THE_SAME_TIME, limit - len(closed))]
        outcomes = await asyncio.gather(*(_close(table, one, now) for one in some))
        closed += [one.request_id for one, ours in zip(some, outcomes, strict=True) if ours]
        if len(closed) >= limit:
            break
    return closed


async def _close(table: Table, dead: DeadLease, now: int) -> bool:
    """Close one that was dead when it was looked at; whether it was this call that did."""
    known = dead.record or await _close_unclaimed(table, dead.request_id, now)
    ours = known is None
    while known is not None and known["state"] == CLAIMED:
        if known["deadline"] >= now:
            return False  # renewed, or claimed, in between
        ours = await _lose(table, known, now)
        known = await table.get(request_key(dead.request_id))
    used = _NOTHING if known is None or known["state"] not in BOOKED else counted_of(known)
    await release(table, dead.account_id, dead.request_id, dead.member, used=used, now=now)
    return ours


async def _close_unclaimed(table: Table, request_id: str, now: int) -> Item | None:
    """Write that it is closed, where nothing is written of it yet; otherwise what is."""
    nonce = secrets.token_hex(4)
    record: Item = {
        **request_key(request_id),
        "state": CLOSED,
        "closed_by": nonce,
        "closed_at": now,
        **counted(_NOTHING),
        EXPIRES: now // SECOND + KEPT,
    }
    try:
        await table.put(record)
    except ConditionFailed as failed:
        known = failed.item or record
        return None if known.get("closed_by") == nonce else known  # ours, if a lost answer was this put's
    return None


async def _lose(table: Table, known: Item, now: int) -> bool:
    """Book a claimed request at its last checkpoint, until its GPU process says more. False where it has moved."""
    lease, usage = lease_of(known), usage_of(known)
    bound = bound_of(usage, price_of(known))
    used = Amount(lease.requests, bound.tokens, bound.nano, bound.tokens)
    update = Update(request_key(lease.id)).set(
        state=LOST, nano=bound.nano, outcome=LOST_OUTCOME, settled_at=now, **counted(used)
    )
    # Neither settled nor renewed since, and held by the same attempt.
    unchanged = [update.equals(name, to=known[name]) for name in ("state", "attempt", "deadline")]
    total = added(lease, lease.requests, usage, bound.nano)
    try:
        await table.transact(update.where(*unchanged), total)
    except ConditionFailed:
        return False
    return True


async def _tidy(table: Table, account: Item, now: int) -> None:
    """Drop old counts, and the names of late settlements that are paid."""
    update = Update(account_key(account["id"]))
    update.remove(*((name,) for name in stale(account, now, _OLD_MINUTES)[:40]))
    old = [name for name, entry in account["late"].items() if int(entry[1:]) < minute_of(now) - _LATE_KEPT]
    for name in old[:40]:
        # Whoever has read that something is owed, and is about to pay it, must still find the name: it goes next time.
        if not await _settle_up(table, request_id_of(name), now):
            update.remove(("late", name))
    idle = _idle(account)[:40]
    update.remove(*((name,) for name in idle))
    if update.changes_anything:
        # Nobody has come to need them meanwhile; if so, they stay until the next time.
        still_idle = [update.equals(name, to=0) for name in idle]
        with suppress(ConditionFailed):
            await table.update(update.where(update.exists("pk"), *still_idle))


def _idle(account: Item) -> list[str]:
    """The counts of live leases of keys that have none, and no other count."""
    in_use = {name.partition(".")[2] for name in account if "." in name and not name.startswith("c.")}
    zeros = [name for name, value in account.items() if name.startswith("c.") and value == 0]
    return [name for name in zeros if name[2:] not in in_use]


async def _settle_up(table: Table, request_id: str, now: int) -> bool:
    """Finish a late settlement that was cut off after it was counted; whether there was one."""
    known = await table.get(request_key(request_id))
    if known is None or (left := owed_of(known)) is None:
        return False
    await pay(table, lease_of(known), left, now)
    await settled_up(table, request_id)
    return True
