"""Reserve: one conditional write on the account's item.

    edge       reserve ──┐ one UpdateItem: counts up, live lease in, or nothing at all
    account    r t n m c, live
    gpu                  └── release, after the settlement: counts down to what was used, live lease out

A condition of DynamoDB compares, it does not calculate. So the limits are subtracted from beforehand, and
the item must still be of the revision that they were read at. Where the condition does not hold, the item
comes back as it was, and says why.
"""

from collections import OrderedDict
from dataclasses import replace
from typing import Any

from penstock.clock import SECOND
from penstock.ledger.dynamodb.callers import caller as look_up
from penstock.ledger.dynamodb.callers import caller_in
from penstock.ledger.dynamodb.close import close_dead, dead_leases
from penstock.ledger.dynamodb.expression import Update
from penstock.ledger.dynamodb.keys import account_key
from penstock.ledger.dynamodb.meter import Member, Names, member_name, stale, windows
from penstock.ledger.dynamodb.patience import Patience
from penstock.ledger.dynamodb.table import ConditionFailed, Table
from penstock.ledger.dynamodb.values import Item
from penstock.ledger.limits import Amount
from penstock.ledger.records import (
    AccessDenied,
    Caller,
    Lease,
    LedgerUnavailable,
    LimitName,
    Limits,
    Refused,
    Reserved,
    Standing,
    Standings,
)
from penstock.ledger.rules import entitled

# A caller who has room for fewer than so many such requests is near a limit: the claim gives back at once
# what the true prompt does not need. For others the settlement is soon enough, and saves a write.
_TIGHT = 16
# Live leases of one account. An item may have 400 KB, and a live lease takes some 60 bytes of it.
MOST_LIVE = 5_000
_DROPPED_AT_ONCE = 40  # old counts in one write; an expression has at most 4 KB
_REMEMBERED = 10_000  # accounts

_SPENDABLE = (LimitName.TOKENS_PER_MINUTE, LimitName.MONTHLY_BUDGET, LimitName.MONTHLY_TOKENS)


class Reservations:
    """One process's reservations."""

    def __init__(self, table: Table) -> None:
        self._table = table
        # By account, as this process has seen them last: old counts, and until when leases are alive.
        self._stale: OrderedDict[str, list[str]] = OrderedDict()
        self._alive: OrderedDict[str, dict[str, int]] = OrderedDict()

    async def reserve(self, caller: Caller, lease: Lease) -> Reserved | Refused:
        """Set the lease's bound aside, or say which limit it would pass. See the protocol."""
        patience = Patience()
        known: Caller | None = caller if _entitled(caller, lease) else await look_up(self._table, lease.key_id)
        while True:
            caller = entitled(known, lease)
            try:
                return await self._granted(caller, lease)
            except ConditionFailed as failed:
                item = failed.item
            if item is None:
                raise AccessDenied("there is no such account")
            if item["revision"] != caller.revision or not item["on"]:
                known = await caller_in(self._table, item, lease.key_id)
                continue
            found = windows(item, caller, lease.reserved_at)
            if member_name(lease.id) in item["live"]:
                return _reserved(lease, found.standings())
            refused = found.refusal(lease)
            refused = refused or _full(item, lease.reserved_at)
            if refused and not await self._close_dead(item, lease):
                return refused
            # There is room by now, or some was made: again, after a moment.
            if refused is None and not await patience.pause():
                raise LedgerUnavailable("the account is too busy")

    async def _close_dead(self, item: Item, lease: Lease) -> bool:
        """Close the account's dead leases, which may be all that stands in the way; whether there were any.

        Whoever else closes one at the same time makes room as well.
        """
        alive = self._alive.setdefault(lease.account_id, {})
        _bound(self._alive)
        dead = await dead_leases(self._table, item, lease.reserved_at, alive=alive)
        await close_dead(self._table, dead, lease.reserved_at)
        return bool(dead)

    async def _granted(self, caller: Caller, lease: Lease) -> Reserved:
        """Reserve it. Raises ConditionFailed."""
        if _impossible(caller, lease):  # no condition could hold; a failed write would cost as much
            raise ConditionFailed(await self._table.get(account_key(lease.account_id)))
        old = self._stale.pop(lease.account_id, [])
        item = await self._table.update(_reservation(caller, lease, old[:_DROPPED_AT_ONCE]))
        self._remember(lease.account_id, stale(item, lease.reserved_at))
        return _reserved(lease, windows(item, caller, lease.reserved_at).standings())

    def _remember(self, account_id: str, old: list[str]) -> None:
        if old:
            self._stale[account_id] = old
            _bound(self._stale)


def _bound(remembered: "OrderedDict[str, Any]") -> None:
    if len(remembered) > _REMEMBERED:
        remembered.popitem(last=False)


def _reservation(caller: Caller, lease: Lease, old: list[str]) -> Update:
    """The one write."""
    update = Update(account_key(lease.account_id))
    names, entry = Names.at(lease.reserved_at, lease.key_id), ("live", member_name(lease.id))
    account, key = caller.account.limits, caller.key.limits

    # The account's switch, as it is now.
    account_is_on = update.equals("on", to=True)
    # Neither the limits nor the key have changed since they were read: a revoked key fails here.
    as_looked_up = update.equals("revision", to=caller.revision)
    # A try that was granted and whose answer was lost is not granted twice.
    not_yet_reserved = update.absent(*entry)
    # Leases past their deadline still count here. Where that is why this fails, they are closed first.
    at_once = MOST_LIVE if account.concurrent_requests is None else min(account.concurrent_requests, MOST_LIVE)
    fewer_than_allowed = update.smaller("live", at_once)
    # Counts hold what is spent and what is set aside, so this request must fit on top of them.
    room_in_account = [update.room(name, most) for name, most in _most(account, names, lease)]
    room_in_key = [update.room(names.of_key(name), most) for name, most in _most(key, names, lease)]
    fewer_than_key_allows = (
        [] if key.concurrent_requests is None else [update.room(names.live_of_key, key.concurrent_requests - 1)]
    )

    update.where(
        account_is_on,
        as_looked_up,
        not_yet_reserved,
        fewer_than_allowed,
        *fewer_than_key_allows,
        *room_in_account,
        *room_in_key,
    )
    bound = Amount(lease.requests, lease.bound.tokens, lease.bound.nano, lease.bound.tokens)
    counts = names.changes(bound, live=1)
    update.set_at(entry, Member.of(lease, lease.bound).text()).add(counts)
    return update.remove(*((name,) for name in old if name not in counts))


def _most(limits: Limits, names: Names, lease: Lease) -> list[tuple[str, int]]:
    """For each limit that is set: the count it is about, and the most that it may be before."""
    bound = lease.bound
    every = (
        (f"r{names.minute}", limits.requests_per_minute, lease.requests),
        (f"t{names.minute}", limits.tokens_per_minute, bound.tokens),
        (f"n{names.month}", limits.monthly_budget, bound.nano),
        (f"m{names.month}", limits.monthly_tokens, bound.tokens),
    )
    return [(name, limit - asked) for name, limit, asked in every if limit is not None]


def _impossible(caller: Caller, lease: Lease) -> bool:
    """Whether the lease alone is over a limit."""
    names = Names(0, "", "")
    return any(
        most < 0 or limits.concurrent_requests == 0
        for limits in (caller.account.limits, caller.key.limits)
        for _, most in (*_most(limits, names, lease), ("", 0))
    )


def _full(item: Item, now: int) -> Refused | None:
    """Whether the account's item holds as many live leases as it may, whatever the account's own limit."""
    live = len(item["live"])
    if live < MOST_LIVE:
        return None
    return Refused(LimitName.CONCURRENT_REQUESTS, "account", Standing(MOST_LIVE, 0, live), 1, now + SECOND)


def _entitled(caller: Caller, lease: Lease) -> bool:
    """Whether what is known of the caller, which may be old, lets the lease through."""
    ours = caller.key.id == lease.key_id and caller.account.id == lease.account_id == caller.key.account_id
    return ours and caller.account.enabled and caller.key.usable(lease.reserved_at)


def _reserved(lease: Lease, standings: Standings) -> Reserved:
    asked = {name: lease.bound.nano if name is LimitName.MONTHLY_BUDGET else lease.bound.tokens for name in _SPENDABLE}
    near = any(name in standings and standings[name].remaining < _TIGHT * asked[name] for name in _SPENDABLE)
    return Reserved(replace(lease, tight=near), standings)


async def standings(table: Table, key_id: str, now: int) -> Standings:
    """How far the key and its account are into their limits; nothing for a key that does not exist."""
    known = await look_up(table, key_id)
    item = None if known is None else await table.get(account_key(known.account.id))
    if known is None or item is None:
        return {}
    return windows(item, known, now).standings()
