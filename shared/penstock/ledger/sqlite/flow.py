"""A request's life: reserve, claim, checkpoint, then settle, release or expire. Each in one transaction."""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection

from penstock.ledger.records import (
    Bound,
    Claim,
    Lease,
    Refused,
    Reserved,
    Settled,
    Standings,
    Usage,
)
from penstock.ledger.rules import LOST_OUTCOME, bound_of, entitled, held_to
from penstock.ledger.sqlite import leases, usage
from penstock.ledger.sqlite.callers import caller as caller_of
from penstock.ledger.sqlite.leases import LiveLease
from penstock.ledger.sqlite.windows import look

_CLOSED_AT_ONCE = 100  # leases; so that no transaction holds the write lock for long


def reserve(db: Connection, lease: Lease) -> Reserved | Refused:
    """Set the lease's bound aside, or say which limit it would pass."""
    caller = entitled(caller_of(db, lease.key_id), lease)
    now = lease.reserved_at
    windows = look(db, caller, now)
    if leases.get(db, lease.id) or usage.get(db, lease.id):
        return Reserved(lease, windows.standings())
    refused = windows.refusal(lease)
    while refused and _close_dead(db, now, lease.account_id):
        windows = look(db, caller, now)
        refused = windows.refusal(lease)
    if refused:
        return refused
    leases.add(db, lease)
    return Reserved(lease, windows.plus(lease).standings())


def claim(db: Connection, lease: Lease, attempt: str, bound: Bound, *, now: int, deadline: int) -> Claim:
    """Take the lease up, and shrink what it has set aside."""
    live = leases.get(db, lease.id)
    held_to(lease.bound if live is None else live.lease.bound, bound)
    if live is None:
        return Claim.CLOSED
    over = live.lease.deadline < now
    if live.attempt is None and over:
        return Claim.CLOSED
    if live.attempt not in (None, attempt) and not over:
        return Claim.TAKEN
    if live.attempt == attempt:  # a repeated claim, perhaps overtaken by a checkpoint
        deadline = max(deadline, live.lease.deadline)
    changes = {"attempt": attempt, "tokens": bound.tokens, "nano": bound.nano, "deadline": deadline}
    leases.change(db, lease.id, changes)
    return Claim.CLAIMED


def checkpoint(db: Connection, lease: Lease, attempt: str, used: Usage, deadline: int) -> bool:
    """Keep the usage so far, and renew the deadline."""
    live = leases.get(db, lease.id)
    held_to(lease.bound if live is None else live.lease.bound, bound_of(used, lease.price))
    if live is None or live.attempt != attempt:
        return False
    changes: dict[str, object] = {"deadline": max(deadline, live.lease.deadline)}
    if bound_of(live.usage, lease.price).within(bound_of(used, lease.price)):
        changes |= leases.usage_row(used)
    leases.change(db, lease.id, changes)
    return True


def settle(db: Connection, lease: Lease, used: Usage, outcome: str, now: int) -> Settled:
    """Book the usage once: as the first record, or as the difference to a provisional one."""
    asked = bound_of(used, lease.price)
    held_to(lease.bound, asked)
    booked = usage.get(db, lease.id)
    if booked and not booked.record.provisional:
        return Settled.REPEATED
    live = leases.get(db, lease.id)
    held_to(booked.bound if booked else live.lease.bound if live else lease.bound, asked)
    if booked:
        usage.correct(db, lease, booked.record, used, outcome, now=now)
        return Settled.LATE
    leases.remove(db, lease.id)
    booking = replace(live.lease, requests=lease.requests) if live else lease
    usage.book(db, booking, used, outcome, now, provisional=False)
    return Settled.FIRST if live else Settled.LATE


def release(db: Connection, lease: Lease) -> bool:
    """Give an unclaimed lease back."""
    live = leases.get(db, lease.id)
    if live is None or live.attempt is not None:
        return False
    leases.remove(db, lease.id)
    return True


def expire(db: Connection, now: int) -> Sequence[str]:
    """Close the leases that died longest ago."""
    return _close_dead(db, now, None)


def standings(db: Connection, key_id: str, now: int) -> Standings:
    """How far the key and its account are into their limits; nothing for a key that does not exist."""
    caller = caller_of(db, key_id)
    return {} if caller is None else look(db, caller, now).standings()


def _close_dead(db: Connection, now: int, account_id: str | None) -> Sequence[str]:
    dead = leases.dead(db, now, account_id, _CLOSED_AT_ONCE)
    for live in dead:
        _close(db, live, now)
    return [live.lease.id for live in dead]


def _close(db: Connection, live: LiveLease, now: int) -> None:
    leases.remove(db, live.lease.id)
    if live.attempt is not None:
        usage.book(db, live.lease, live.usage, LOST_OUTCOME, now, provisional=True)
