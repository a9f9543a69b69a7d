"""What is taken of each window, read and written.

Spent is counted, by minute and by month, for the account and for the key. Set aside is the sum over the
live leases. Both belong to the minute and the month in which the request was reserved.
"""

from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, bindparam, delete, func, select
from sqlalchemy.dialects.sqlite import insert

from penstock.clock import minute_of, month_of
from penstock.ledger.limits import Amount, Taken, Windows
from penstock.ledger.records import Caller, Lease
from penstock.ledger.sqlite.tables import leases, minutes, months

_KEPT_MINUTES = 60  # a limit looks at one minute; the others are slack for clocks that differ


def _aside(*of: ColumnElement[bool]) -> list[ColumnElement[Any]]:
    """Live leases; of this minute: requests, tokens; of this month: nano-dollars, tokens."""
    this_minute = leases.c.minute == bindparam("minute")
    this_month = leases.c.month == bindparam("month")
    return [
        func.count().filter(*of) if of else func.count(),
        func.coalesce(func.sum(leases.c.requests).filter(this_minute, *of), 0),
        func.coalesce(func.sum(leases.c.tokens).filter(this_minute, *of), 0),
        func.coalesce(func.sum(leases.c.nano).filter(this_month, *of), 0),
        func.coalesce(func.sum(leases.c.tokens).filter(this_month, *of), 0),
    ]


def _spent(scope: str) -> list[ColumnElement[Any]]:
    """Of this minute: requests, tokens; of this month: nano-dollars, tokens."""
    minute = (minutes.c.scope == bindparam(scope), minutes.c.minute == bindparam("minute"))
    month = (months.c.scope == bindparam(scope), months.c.month == bindparam("month"))
    return [
        func.coalesce(select(column).where(*where).scalar_subquery(), 0)
        for column, where in (
            (minutes.c.requests, minute),
            (minutes.c.tokens, minute),
            (months.c.nano, month),
            (months.c.tokens, month),
        )
    ]


_ASIDE: Select[Any] = select(*_aside(), *_aside(leases.c.key_id == bindparam("key_id"))).where(
    leases.c.account_id == bindparam("account_id")
)
_SPENT: Select[Any] = select(*_spent("account"), *_spent("key"))

_of_minute = insert(minutes)
_COUNT_MINUTE = _of_minute.on_conflict_do_update(
    index_elements=[minutes.c.scope, minutes.c.minute],
    set_={
        "requests": minutes.c.requests + _of_minute.excluded.requests,
        "tokens": minutes.c.tokens + _of_minute.excluded.tokens,
    },
)
_of_month = insert(months)
_COUNT_MONTH = _of_month.on_conflict_do_update(
    index_elements=[months.c.scope, months.c.month],
    set_={
        "nano": months.c.nano + _of_month.excluded.nano,
        "tokens": months.c.tokens + _of_month.excluded.tokens,
    },
)
_PRUNE = delete(minutes).where(minutes.c.minute < bindparam("oldest"))


def look(db: Connection, caller: Caller, now: int) -> Windows:
    """What the caller has taken of the windows that hold `now`."""
    time = {"minute": minute_of(now), "month": month_of(now)}
    names = {"account_id": caller.account.id, "key_id": caller.key.id}
    aside = db.execute(_ASIDE, names | time).one()
    spent = db.execute(_SPENT, _scopes(caller.account.id, caller.key.id) | time).one()
    return Windows(
        caller,
        account=Taken(Amount(*spent[:4]), Amount(*aside[1:5]), live=aside[0]),
        key=Taken(Amount(*spent[4:]), Amount(*aside[6:]), live=aside[5]),
    )


def spend(db: Connection, lease: Lease, amount: Amount, now: int) -> None:
    """Add what was spent, or the difference to what was booked before, to the lease's own windows."""
    scopes = _scopes(lease.account_id, lease.key_id).values()
    month = {"month": lease.month, "nano": amount.nano, "tokens": amount.monthly_tokens}
    db.execute(_COUNT_MONTH, [{"scope": scope} | month for scope in scopes])
    oldest = minute_of(now) - _KEPT_MINUTES
    if lease.minute >= oldest:
        minute = {"minute": lease.minute, "requests": amount.requests, "tokens": amount.tokens}
        db.execute(_COUNT_MINUTE, [{"scope": scope} | minute for scope in scopes])
    db.execute(_PRUNE, {"oldest": oldest})


def _scopes(account_id: str, key_id: str) -> dict[str, str]:
    return {"account": f"account:{account_id}", "key": f"key:{key_id}"}
