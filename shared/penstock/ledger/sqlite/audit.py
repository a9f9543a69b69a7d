"""The audit: everything that the file keeps twice, compared.

Sums are compared with the records behind them: the rows of usage and the months exactly, minutes as far
back as limits, and clocks that differ, can reach. A record's cost is compared with its tokens at its price,
where it has one (records of before version 2 do not); live leases with records, keys and the time.

One read transaction sees one state of the file, so nothing that is under way is taken for a mistake. A
provisional record is none either: it is booked like any other, until its settlement corrects it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    RowMapping,
    Select,
    and_,
    func,
    literal,
    select,
    true,
    union_all,
)

from penstock.clock import MINUTE, SECOND, minute_of
from penstock.ledger.records import Audit, Finding
from penstock.ledger.sqlite.tables import accounts, keys, leases, minutes, months, records, rollups

_UNREAPED = 10 * MINUTE  # past its deadline; `expire` runs far more often
_MINUTES = 10  # older ones limit nothing any more, and are dropped some time

_Amounts = Mapping[tuple[str, ...], tuple[int, ...]]

_GROUP = ("account_id", "key_id", "model", "day")
_SUMS = ("requests", "prompt_tokens", "cached_prompt_tokens", "completion_tokens", "nano")
_ROLLUPS = select(*(rollups.c[name] for name in (*_GROUP, *_SUMS)))
_ADDED_UP = select(*(records.c[name] for name in _GROUP), *(func.sum(records.c[name]) for name in _SUMS)).group_by(
    *(records.c[name] for name in _GROUP)
)

_TOKENS = records.c.prompt_tokens + records.c.completion_tokens
_COST = (
    (records.c.prompt_tokens - records.c.cached_prompt_tokens) * records.c.price_prompt
    + records.c.cached_prompt_tokens * records.c.price_cached_prompt
    + records.c.completion_tokens * records.c.price_completion
)
# Where a record has no price the cost is NULL, which differs from nothing.
_MISPRICED = (
    select(records.c.request_id, records.c.nano, _COST, records.c.price_version)
    .where(records.c.nano != _COST)
    .order_by(records.c.request_id)
)

_LEASES = (
    select(
        *(leases.c[name] for name in ("id", "account_id", "key_id", "deadline")),
        accounts.c.id.is_(None).label("no_account"),
        keys.c.id.is_(None).label("no_key"),
        records.c.settled_at,
        records.c.nano,
    )
    .join_from(leases, accounts, leases.c.account_id == accounts.c.id, isouter=True)
    .join(keys, and_(leases.c.key_id == keys.c.id, leases.c.account_id == keys.c.account_id), isouter=True)
    .join(records, and_(leases.c.id == records.c.request_id, ~records.c.provisional), isouter=True)
    .order_by(leases.c.id)
)

_TABLES = {"accounts": accounts, "leases": leases, "records": records, "rows": rollups}
_LOOKED_AT = select(
    *(select(func.count()).select_from(table).scalar_subquery().label(name) for name, table in _TABLES.items()),
    select(func.coalesce(func.sum(records.c.nano), 0)).scalar_subquery().label("nano"),
)


def audit(db: Connection, now: int) -> Audit:
    """What was looked at, and what does not add up."""
    findings = (*_rollups(db), *_costs(db), *_months(db), *_minutes(db, now), *_leases(db, now))
    return Audit(**db.execute(_LOOKED_AT).mappings().one(), findings=findings)


def _rollups(db: Connection) -> Iterator[Finding]:
    kept, summed = (_amounts(db, query, len(_GROUP)) for query in (_ROLLUPS, _ADDED_UP))
    return _differences("rollup", _SUMS, kept, summed)


def _costs(db: Connection) -> Iterator[Finding]:
    for request_id, nano, right, version in db.execute(_MISPRICED):
        yield Finding("cost", request_id, f"nano {nano} instead of {right}, by its tokens at the price of {version}")


def _months(db: Connection) -> Iterator[Finding]:
    kept = _amounts(db, select(months.c.scope, months.c.month, months.c.nano, months.c.tokens), 2)
    month = func.substr(records.c.day, 1, len("YYYY-MM"))
    summed = _amounts(db, _by_scope(month, func.sum(records.c.nano), func.sum(_TOKENS), of=true()), 2)
    return _differences("budget", ("nano", "tokens"), kept, summed)


def _minutes(db: Connection, now: int) -> Iterator[Finding]:
    since = minute_of(now) - _MINUTES
    counted = select(minutes.c.scope, _time(minutes.c.minute), minutes.c.requests, minutes.c.tokens)
    kept = _amounts(db, counted.where(minutes.c.minute >= since), 2)
    minute = records.c.reserved_at // MINUTE
    sums = (func.sum(records.c.requests), func.sum(_TOKENS))
    summed = _amounts(db, _by_scope(_time(minute), *sums, of=minute >= since), 2)
    return _differences("budget", ("requests", "tokens"), kept, summed)


def _leases(db: Connection, now: int) -> Iterator[Finding]:
    for lease in db.execute(_LEASES).mappings():
        for message in _wrong_with(lease, now):
            yield Finding("lease", lease["id"], message)


def _wrong_with(lease: RowMapping, now: int) -> Iterator[str]:
    if lease["settled_at"] is not None:
        yield f"is live, and was settled at {lease['settled_at']} for {lease['nano']} nano-dollars"
    if lease["deadline"] + _UNREAPED < now:
        yield f"is live {(now - lease['deadline']) // SECOND} seconds after its deadline"
    if lease["no_account"]:
        yield f"is of account {lease['account_id']!r}, which does not exist"
    elif lease["no_key"]:
        yield f"is of key {lease['key_id']!r}, which account {lease['account_id']!r} does not have"


def _by_scope(window: ColumnElement[str], *sums: ColumnElement[int], of: ColumnElement[bool]) -> CompoundSelect[Any]:
    """The records added up by account and by key, within each window of time."""
    return union_all(
        *(
            select(literal(prefix) + owner, window, *sums).where(of).group_by(owner, window)
            for prefix, owner in (("account:", records.c.account_id), ("key:", records.c.key_id))
        )
    )


def _time(minute: ColumnElement[int]) -> ColumnElement[str]:
    return func.strftime("%Y-%m-%dT%H:%MZ", minute * (MINUTE // SECOND), "unixepoch")


def _amounts(db: Connection, query: Select[Any] | CompoundSelect[Any], names: int) -> _Amounts:
    """The query's rows: so many columns that name something, then its numbers."""
    return {tuple(row[:names]): tuple(row[names:]) for row in db.execute(query)}


def _differences(kind: str, names: Sequence[str], kept: _Amounts, summed: _Amounts) -> Iterator[Finding]:
    nothing = (0,) * len(names)
    for subject in sorted(kept.keys() | summed.keys()):
        both = zip(names, kept.get(subject, nothing), summed.get(subject, nothing), strict=True)
        wrong = [f"{name} {is_} instead of {should}" for name, is_, should in both if is_ != should]
        if wrong:
            yield Finding(kind, " ".join(subject), f"{', '.join(wrong)}, by its records")
