"""The tables as queries name them. migrations.py makes them; a test holds the two together.

What is set aside is nowhere added up: it is the sum over `leases`, which holds the live ones only. So it
cannot drift from them, and nothing stays reserved once they are gone. What is spent is counted, by minute
and by month, for each scope (`account:ID`, `key:ID`).
"""

from dataclasses import fields

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, LargeBinary, MetaData, String, Table

from penstock.ledger.records import Limits

metadata = MetaData()


def _limits() -> list[Column[int]]:
    return [Column(limit.name, Integer) for limit in fields(Limits)]


def _usage() -> list[Column[int]]:
    names = ("prompt_tokens", "cached_prompt_tokens", "completion_tokens")
    return [Column(name, Integer, nullable=False) for name in names]


accounts = Table(
    "accounts",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("created_at", Integer, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("keep_answers", Boolean, nullable=False),
    *_limits(),
)

keys = Table(
    "keys",
    metadata,
    Column("id", String, primary_key=True),
    Column("account_id", ForeignKey("accounts.id"), nullable=False),
    Column("name", String, nullable=False),
    Column("digest", String, nullable=False),
    Column("created_at", Integer, nullable=False),
    Column("expires_at", Integer),
    Column("revoked_at", Integer),
    Column("models", String),  # a JSON list; NULL is every model
    Column("routes", String),  # a JSON list; NULL is all but those of administrators
    *_limits(),
    Index("keys_of_account", "account_id"),
)

# The live leases: reserved, perhaps claimed, not yet closed.
leases = Table(
    "leases",
    metadata,
    Column("id", String, primary_key=True),
    Column("account_id", ForeignKey("accounts.id"), nullable=False),
    Column("key_id", ForeignKey("keys.id"), nullable=False),
    Column("model", String, nullable=False),
    Column("tokens", Integer, nullable=False),  # set aside: the reserved bound, then the claimed one
    Column("nano", Integer, nullable=False),
    Column("price_version", String, nullable=False),
    Column("price_prompt", Integer, nullable=False),
    Column("price_cached_prompt", Integer, nullable=False),
    Column("price_completion", Integer, nullable=False),
    Column("reserved_at", Integer, nullable=False),
    Column("minute", Integer, nullable=False),
    Column("month", String, nullable=False),
    Column("deadline", Integer, nullable=False),
    Column("requests", Integer, nullable=False),
    Column("attempt", String),  # NULL: unclaimed
    *_usage(),  # at the last checkpoint
    Index("leases_of_account", "account_id", "deadline"),
    Index("leases_by_deadline", "deadline"),
)

# One row for each lease that was settled, or lost after its claim.
records = Table(
    "records",
    metadata,
    Column("request_id", String, primary_key=True),
    Column("account_id", String, nullable=False),
    Column("key_id", String, nullable=False),
    Column("model", String, nullable=False),
    Column("day", String, nullable=False),
    *_usage(),
    Column("nano", Integer, nullable=False),
    Column("price_version", String, nullable=False),
    Column("price_prompt", Integer),  # the prices are NULL in records of before version 2
    Column("price_cached_prompt", Integer),
    Column("price_completion", Integer),
    Column("outcome", String, nullable=False),
    Column("provisional", Boolean, nullable=False),
    Column("bound_tokens", Integer, nullable=False),  # what a late settlement is held to
    Column("bound_nano", Integer, nullable=False),
    Column("reserved_at", Integer, nullable=False),
    Column("settled_at", Integer, nullable=False),
    Column("requests", Integer, nullable=False),
    Index("records_by_time", "settled_at"),
    Index("records_of_account", "account_id", "settled_at"),
)

rollups = Table(
    "rollups",
    metadata,
    Column("account_id", String, primary_key=True),
    Column("day", String, primary_key=True),
    Column("key_id", String, primary_key=True),
    Column("model", String, primary_key=True),
    Column("requests", Integer, nullable=False),
    *_usage(),
    Column("nano", Integer, nullable=False),
)

minutes = Table(
    "minutes",
    metadata,
    Column("scope", String, primary_key=True),
    Column("minute", Integer, primary_key=True, autoincrement=False),
    Column("requests", Integer, nullable=False),
    Column("tokens", Integer, nullable=False),
    Index("minutes_by_age", "minute"),
)

months = Table(
    "months",
    metadata,
    Column("scope", String, primary_key=True),
    Column("month", String, primary_key=True),
    Column("nano", Integer, nullable=False),
    Column("tokens", Integer, nullable=False),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("account_id", String, primary_key=True),
    Column("idempotency_key", String, primary_key=True),
    Column("body_hash", String, nullable=False),
    Column("expires_at", Integer, nullable=False),
    Column("attempt", String),  # who began it; NULL: somebody before version 2
    Column("answered", Boolean, nullable=False),
    Column("status", Integer),  # NULL: running, or answered and not kept
    Column("content_type", String),
    Column("body", LargeBinary),
    Index("idempotency_by_expiry", "expires_at"),
)

# The switch over everybody: one row, or none while it was never set.
switch = Table(
    "switch",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("enabled", Boolean, nullable=False),
    Column("reason", String, nullable=False),
    Column("changed_at", Integer, nullable=False),
)

# The book: files, batches and shards, each as `penstock.batches.text` writes it; beside it what is searched by.
files = Table(
    "files",
    metadata,
    Column("id", String, primary_key=True),
    Column("account_id", String, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("record", String, nullable=False),
    Column("purpose", String, nullable=False),
    Index("files_of_account", "account_id", "id"),
)

batches = Table(
    "batches",
    metadata,
    Column("id", String, primary_key=True),
    Column("account_id", String, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("record", String, nullable=False),
    Column("closed", Boolean, nullable=False),
    Index("batches_of_account", "account_id", "id"),
    Index("batches_by_closed", "closed", "id"),
)

shards = Table(
    "shards",
    metadata,
    Column("batch_id", String, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("revision", Integer, nullable=False),
    Column("record", String, nullable=False),
)
