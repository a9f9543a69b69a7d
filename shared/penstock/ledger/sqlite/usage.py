"""What was used: one record a lease, and the sums by account, key, model and day.

A record and the sums that hold it change in one transaction, so they never disagree.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, RowMapping, bindparam, select, update
from sqlalchemy.dialects.sqlite import insert

from penstock.ledger.limits import Amount
from penstock.ledger.records import Bound, Lease, Usage, UsageRecord, UsageRow
from penstock.ledger.sqlite.leases import price_row, usage_row
from penstock.ledger.sqlite.tables import records as record_table
from penstock.ledger.sqlite.tables import rollups
from penstock.ledger.sqlite.windows import spend

_GET = select(record_table).where(record_table.c.request_id == bindparam("request_id"))
_sum = insert(rollups)
_SUMS = ("requests", "prompt_tokens", "cached_prompt_tokens", "completion_tokens", "nano")
_ADD = _sum.on_conflict_do_update(
    index_elements=[rollups.c.account_id, rollups.c.day, rollups.c.key_id, rollups.c.model],
    set_={name: rollups.c[name] + _sum.excluded[name] for name in _SUMS},
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A record, and the bound that a late settlement of it is held to."""

    record: UsageRecord
    bound: Bound


def get(db: Connection, request_id: str) -> Entry | None:
    """The record of a lease that was settled or closed."""
    row = db.execute(_GET, {"request_id": request_id}).mappings().first()
    return None if row is None else Entry(_record(row), Bound(row["bound_tokens"], row["bound_nano"]))


def book(db: Connection, lease: Lease, usage: Usage, outcome: str, now: int, *, provisional: bool) -> None:
    """Write the record of a request that has none, and count it. `lease.bound` is what was set aside."""
    nano = usage.cost(lease.price)
    row = {
        "request_id": lease.id,
        "account_id": lease.account_id,
        "key_id": lease.key_id,
        "model": lease.model,
        "day": lease.day,
        "nano": nano,
        "outcome": outcome,
        "provisional": provisional,
        "bound_tokens": lease.bound.tokens,
        "bound_nano": lease.bound.nano,
        "reserved_at": lease.reserved_at,
        "settled_at": now,
        "requests": lease.requests,
    }
    db.execute(insert(record_table), row | price_row(lease.price) | usage_row(usage))
    _count(db, lease, Amount(lease.requests, usage.total_tokens, nano, usage.total_tokens), usage_row(usage), now)


def correct(db: Connection, lease: Lease, before: UsageRecord, usage: Usage, outcome: str, *, now: int) -> None:
    """Make a provisional record final, and count the difference."""
    nano = usage.cost(lease.price)
    changes = {"nano": nano, "outcome": outcome, "provisional": False, "settled_at": now, "requests": lease.requests}
    changes |= price_row(lease.price) | usage_row(usage)
    db.execute(update(record_table).where(record_table.c.request_id == lease.id).values(changes))
    earlier = before.usage
    difference = {
        "prompt_tokens": usage.prompt_tokens - earlier.prompt_tokens,
        "cached_prompt_tokens": usage.cached_prompt_tokens - earlier.cached_prompt_tokens,
        "completion_tokens": usage.completion_tokens - earlier.completion_tokens,
    }
    tokens = usage.total_tokens - earlier.total_tokens
    requests = lease.requests - before.requests
    _count(db, lease, Amount(requests, tokens, nano - before.nano, tokens), difference, now)


def rows(db: Connection, account_id: str | None, key_id: str | None, since: str, until: str) -> Sequence[UsageRow]:
    """The sums of the days from `since` to `until`, by day, account, key and model."""
    columns = rollups.c
    query = select(rollups).where(columns.day.between(since, until))
    if account_id is not None:
        query = query.where(columns.account_id == account_id)
    if key_id is not None:
        query = query.where(columns.key_id == key_id)
    query = query.order_by(columns.day, columns.account_id, columns.key_id, columns.model)
    return [_row(row) for row in db.execute(query).mappings()]


def records(db: Connection, account_id: str | None, limit: int) -> Sequence[UsageRecord]:
    """The latest records, newest first."""
    columns = record_table.c
    query = select(record_table).order_by(columns.settled_at.desc(), columns.request_id.desc()).limit(limit)
    if account_id is not None:
        query = query.where(columns.account_id == account_id)
    return [_record(row) for row in db.execute(query).mappings()]


def _count(db: Connection, lease: Lease, amount: Amount, tokens: Mapping[str, object], now: int) -> None:
    row = {"account_id": lease.account_id, "key_id": lease.key_id, "model": lease.model, "day": lease.day}
    db.execute(_ADD, {**row, **tokens, "requests": amount.requests, "nano": amount.nano})
    spend(db, lease, amount, now)


def _usage(row: RowMapping) -> Usage:
    return Usage(row["prompt_tokens"], row["cached_prompt_tokens"], row["completion_tokens"])


def _record(row: RowMapping) -> UsageRecord:
    return UsageRecord(
        request_id=row["request_id"],
        account_id=row["account_id"],
        key_id=row["key_id"],
        model=row["model"],
        day=row["day"],
        usage=_usage(row),
        nano=row["nano"],
        price_version=row["price_version"],
        outcome=row["outcome"],
        provisional=row["provisional"],
        reserved_at=row["reserved_at"],
        settled_at=row["settled_at"],
        requests=row["requests"],
    )


def _row(row: RowMapping) -> UsageRow:
    return UsageRow(
        account_id=row["account_id"],
        key_id=row["key_id"],
        model=row["model"],
        day=row["day"],
        requests=row["requests"],
        usage=_usage(row),
        nano=row["nano"],
    )
