"""Giving back: what becomes of a reservation on the account's item.

Each change names the live lease as it expects to find it, so a second one finds it gone and changes nothing.
"""

from collections.abc import Callable
from contextlib import suppress

from penstock.clock import minute_of
from penstock.ledger.dynamodb.expression import Update, either
from penstock.ledger.dynamodb.keys import account_key
from penstock.ledger.dynamodb.meter import KEPT_MINUTES, Member, Names, member_name
from penstock.ledger.dynamodb.table import ConditionFailed, Table
from penstock.ledger.limits import Amount
from penstock.ledger.records import Bound, Lease, LedgerUnavailable

UNPAID, PAID = "i", "p"  # how the entry of a late settlement begins; the minute follows


async def release(table: Table, account_id: str, request_id: str, member: Member, *, used: Amount, now: int) -> bool:
    """Take the live lease out, and let the counts hold what was used in its place. False where it is out."""

    def out(update: Update, found: Member) -> Update:
        bound = found.bound
        less = Amount(
            requests=used.requests - found.requests,
            tokens=used.tokens - bound.tokens,
            nano=used.nano - bound.nano,
            monthly_tokens=used.monthly_tokens - bound.tokens,
        )
        names = Names.at(found.reserved_at, found.key_id)
        changes = names.changes(less, live=-1, minutes=counted_minute(found.reserved_at, now))
        return update.remove(("live", member_name(request_id))).add(changes)

    return await _change(table, account_id, request_id, member, out)


async def shrink(table: Table, lease: Lease, bound: Bound) -> None:
    """Set only `bound` aside from now on. Where the table does not answer, the settlement will do."""

    def smaller(update: Update, found: Member) -> Update | None:
        if found.bound.within(bound):
            return None  # done, or done for a later claim
        tokens = bound.tokens - found.bound.tokens
        less = Amount(0, tokens, bound.nano - found.bound.nano, tokens)
        entry = ("live", member_name(lease.id))
        return update.set_at(entry, Member.of(lease, bound).text()).add(
            Names.at(lease.reserved_at, lease.key_id).changes(less)
        )

    with suppress(LedgerUnavailable):
        await _change(table, lease.account_id, lease.id, Member.of(lease, lease.bound), smaller)


async def announce(table: Table, lease: Lease, now: int) -> None:
    """Write on the account's item that a late settlement is under way, so that `expire` finishes it if need be."""
    update, entry = Update(account_key(lease.account_id)), ("late", member_name(lease.id))
    update.set_at(entry, f"{UNPAID}{minute_of(now)}").where(update.exists("pk"), update.absent(*entry))
    with suppress(ConditionFailed):
        await table.update(update)


async def pay(table: Table, lease: Lease, owed: Amount, now: int) -> None:
    """Count what a late settlement owes, once: `late` keeps its name until its record says that it is paid."""
    update, entry = Update(account_key(lease.account_id)), ("late", member_name(lease.id))
    names = Names.at(lease.reserved_at, lease.key_id)
    update.set_at(entry, f"{PAID}{minute_of(now)}")
    not_yet_paid = either(update.absent(*entry), update.begins(*entry, start=UNPAID))
    update.where(update.exists("pk"), not_yet_paid)
    with suppress(ConditionFailed):
        await table.update(update.add(names.changes(owed, minutes=counted_minute(lease.reserved_at, now))))


def counted_minute(reserved_at: int, now: int) -> bool:
    """Whether the counts of that minute are still kept."""
    return minute_of(reserved_at) >= minute_of(now) - KEPT_MINUTES


async def _change(
    table: Table, account_id: str, request_id: str, member: Member, change: Callable[[Update, Member], Update | None]
) -> bool:
    name = member_name(request_id)
    while True:
        update = change(Update(account_key(account_id)), member)
        if update is None:
            return False
        # It is live, and what is set aside for it is what we think.
        as_expected = update.equals("live", name, to=member.text())
        try:
            await table.update(update.where(as_expected))
        except ConditionFailed as failed:
            found = (failed.item or {"live": {}})["live"].get(name)
            if found is None or found == member.text():
                return False
            member = Member.parse(found)
        else:
            return True
