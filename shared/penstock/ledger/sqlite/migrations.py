"""The schema's versions, in order, and the way from one to the next.

A migration is a list of statements and is never edited once released: a later change is a further
migration. SQLite keeps the version (`user_version`) and the mark that the file is ours (`application_id`)
in the file's header, inside the transaction that made the tables.
"""

from collections.abc import Sequence

from sqlalchemy import Connection

from penstock.ledger.records import LedgerUnavailable

APPLICATION_ID = 0x50454E53  # "PENS"

_LIMITS = """
    requests_per_minute INTEGER,
    tokens_per_minute INTEGER,
    concurrent_requests INTEGER,
    monthly_budget INTEGER
"""
_USAGE = """
    prompt_tokens INTEGER NOT NULL,
    cached_prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL
"""

_VERSION_1 = (
    f"""CREATE TABLE accounts (
        id VARCHAR NOT NULL PRIMARY KEY,
        name VARCHAR NOT NULL,
        created_at INTEGER NOT NULL,
        enabled BOOLEAN NOT NULL,
        {_LIMITS}
    ) WITHOUT ROWID""",
    f"""CREATE TABLE keys (
        id VARCHAR NOT NULL PRIMARY KEY,
        account_id VARCHAR NOT NULL REFERENCES accounts (id),
        name VARCHAR NOT NULL,
        digest VARCHAR NOT NULL,
        created_at INTEGER NOT NULL,
        expires_at INTEGER,
        revoked_at INTEGER,
        models VARCHAR,
        {_LIMITS}
    ) WITHOUT ROWID""",
    "CREATE INDEX keys_of_account ON keys (account_id)",
    f"""CREATE TABLE leases (
        id VARCHAR NOT NULL PRIMARY KEY,
        account_id VARCHAR NOT NULL REFERENCES accounts (id),
        key_id VARCHAR NOT NULL REFERENCES keys (id),
        model VARCHAR NOT NULL,
        tokens INTEGER NOT NULL CHECK (tokens >= 0),
        nano INTEGER NOT NULL CHECK (nano >= 0),
        price_version VARCHAR NOT NULL,
        price_prompt INTEGER NOT NULL,
        price_cached_prompt INTEGER NOT NULL,
        price_completion INTEGER NOT NULL,
        reserved_at INTEGER NOT NULL,
        minute INTEGER NOT NULL,
        month VARCHAR NOT NULL,
        deadline INTEGER NOT NULL,
        attempt VARCHAR,
        {_USAGE}
    ) WITHOUT ROWID""",
    "CREATE INDEX leases_of_account ON leases (account_id, deadline)",
    "CREATE INDEX leases_by_deadline ON leases (deadline)",
    f"""CREATE TABLE records (
        request_id VARCHAR NOT NULL PRIMARY KEY,
        account_id VARCHAR NOT NULL,
        key_id VARCHAR NOT NULL,
        model VARCHAR NOT NULL,
        day VARCHAR NOT NULL,
        {_USAGE},
        nano INTEGER NOT NULL CHECK (nano >= 0),
        price_version VARCHAR NOT NULL,
        outcome VARCHAR NOT NULL,
        provisional BOOLEAN NOT NULL,
        bound_tokens INTEGER NOT NULL,
        bound_nano INTEGER NOT NULL,
        reserved_at INTEGER NOT NULL,
        settled_at INTEGER NOT NULL
    ) WITHOUT ROWID""",
    "CREATE INDEX records_by_time ON records (settled_at)",
    "CREATE INDEX records_of_account ON records (account_id, settled_at)",
    f"""CREATE TABLE rollups (
        account_id VARCHAR NOT NULL,
        day VARCHAR NOT NULL,
        key_id VARCHAR NOT NULL,
        model VARCHAR NOT NULL,
        requests INTEGER NOT NULL,
        {_USAGE},
        nano INTEGER NOT NULL,
        PRIMARY KEY (account_id, day, key_id, model)
    ) WITHOUT ROWID""",
    """CREATE TABLE minutes (
        scope VARCHAR NOT NULL,
        minute INTEGER NOT NULL,
        requests INTEGER NOT NULL,
        tokens INTEGER NOT NULL,
        PRIMARY KEY (scope, minute)
    ) WITHOUT ROWID""",
    "CREATE INDEX minutes_by_age ON minutes (minute)",
    """CREATE TABLE months (
        scope VARCHAR NOT NULL,
        month VARCHAR NOT NULL,
        nano INTEGER NOT NULL,
        PRIMARY KEY (scope, month)
    ) WITHOUT ROWID""",
    """CREATE TABLE idempotency (
        account_id VARCHAR NOT NULL,
        idempotency_key VARCHAR NOT NULL,
        body_hash VARCHAR NOT NULL,
        expires_at INTEGER NOT NULL,
        status INTEGER,
        content_type VARCHAR,
        body BLOB,
        PRIMARY KEY (account_id, idempotency_key)
    )""",
    "CREATE INDEX idempotency_by_expiry ON idempotency (expires_at)",
)

# Tokens of a month as a limit; what a key may call and an account keeps; who began an `Idempotency-Key`; the
# price on each record, so that its cost can be checked; the switch over everybody.
_VERSION_2 = (
    "ALTER TABLE accounts ADD COLUMN monthly_tokens INTEGER",
    "ALTER TABLE accounts ADD COLUMN keep_answers BOOLEAN NOT NULL DEFAULT 1",
    "ALTER TABLE keys ADD COLUMN monthly_tokens INTEGER",
    "ALTER TABLE keys ADD COLUMN routes VARCHAR",
    "ALTER TABLE records ADD COLUMN price_prompt INTEGER",
    "ALTER TABLE records ADD COLUMN price_cached_prompt INTEGER",
    "ALTER TABLE records ADD COLUMN price_completion INTEGER",
    "ALTER TABLE months ADD COLUMN tokens INTEGER NOT NULL DEFAULT 0",
    # A record's day is that of its reservation, and so is its month. Every record has its two rows of `months`.
    """INSERT INTO months (scope, month, nano, tokens)
        SELECT 'account:' || account_id, substr(day, 1, 7), 0, sum(prompt_tokens + completion_tokens)
            FROM records WHERE true GROUP BY 1, 2
        UNION ALL
        SELECT 'key:' || key_id, substr(day, 1, 7), 0, sum(prompt_tokens + completion_tokens)
            FROM records WHERE true GROUP BY 1, 2
        ON CONFLICT (scope, month) DO UPDATE SET tokens = excluded.tokens""",
    "ALTER TABLE idempotency ADD COLUMN attempt VARCHAR",
    "ALTER TABLE idempotency ADD COLUMN answered BOOLEAN NOT NULL DEFAULT 0",
    "UPDATE idempotency SET answered = 1 WHERE status IS NOT NULL",
    """CREATE TABLE switch (
        id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
        enabled BOOLEAN NOT NULL,
        reason VARCHAR NOT NULL,
        changed_at INTEGER NOT NULL
    )""",
)

# How many requests a lease stands for.
_VERSION_3 = (
    "ALTER TABLE leases ADD COLUMN requests INTEGER NOT NULL DEFAULT 1",
    "ALTER TABLE records ADD COLUMN requests INTEGER NOT NULL DEFAULT 1",
)

# Files, batches and shards, beside the ledger.
_VERSION_4 = (
    """CREATE TABLE files (
        id VARCHAR NOT NULL PRIMARY KEY,
        account_id VARCHAR NOT NULL,
        revision INTEGER NOT NULL,
        record VARCHAR NOT NULL,
        purpose VARCHAR NOT NULL
    )""",
    "CREATE INDEX files_of_account ON files (account_id, id)",
    """CREATE TABLE batches (
        id VARCHAR NOT NULL PRIMARY KEY,
        account_id VARCHAR NOT NULL,
        revision INTEGER NOT NULL,
        record VARCHAR NOT NULL,
        closed BOOLEAN NOT NULL
    )""",
    "CREATE INDEX batches_of_account ON batches (account_id, id)",
    "CREATE INDEX batches_by_closed ON batches (closed, id)",
    """CREATE TABLE shards (
        batch_id VARCHAR NOT NULL,
        number INTEGER NOT NULL,
        revision INTEGER NOT NULL,
        record VARCHAR NOT NULL,
        PRIMARY KEY (batch_id, number)
    )""",
)

MIGRATIONS: tuple[Sequence[str], ...] = (_VERSION_1, _VERSION_2, _VERSION_3, _VERSION_4)


def version_of(db: Connection) -> int:
    """The schema's version; 0 for an empty file.

    Raises LedgerUnavailable where the file is another program's, or newer than this program.
    """
    version = _pragma(db, "user_version")
    if _pragma(db, "application_id") != APPLICATION_ID:
        if version or db.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar_one():
            raise LedgerUnavailable("it is the database of another program")
        return 0
    if version > len(MIGRATIONS):
        raise LedgerUnavailable(
            f"its schema is version {version} and this program knows up to {len(MIGRATIONS)}: update Penstock"
        )
    return version


def migrate(db: Connection) -> None:
    """Bring the schema to the newest version. In a write transaction, so that one process does it."""
    for statements in MIGRATIONS[version_of(db) :]:
        for statement in statements:
            db.exec_driver_sql(statement)
    db.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
    db.exec_driver_sql(f"PRAGMA user_version = {len(MIGRATIONS)}")


def _pragma(db: Connection, name: str) -> int:
    return int(db.exec_driver_sql(f"PRAGMA {name}").scalar_one())
