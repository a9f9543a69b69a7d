"""Requests under an `Idempotency-Key`, and the answers kept for their repetitions."""

from sqlalchemy import ColumnElement, Connection, delete, select, update
from sqlalchemy.dialects.sqlite import insert

from penstock.ledger.records import Idempotency, StoredAnswer
from penstock.ledger.sqlite.tables import idempotency as table

_PRUNED_AT_ONCE = 100  # entries; more than one call can add, so that the table stays bounded


def begin(
    db: Connection, account_id: str, idempotency_key: str, body_hash: str, *, now: int, expires_at: int
) -> StoredAnswer | Idempotency:
    """Take the key up, or say what became of it."""
    _prune(db, now)
    entry = db.execute(select(table).where(*_is(account_id, idempotency_key))).mappings().first()
    if entry is None or entry["expires_at"] <= now:
        db.execute(delete(table).where(*_is(account_id, idempotency_key)))
        row = {"account_id": account_id, "idempotency_key": idempotency_key}
        db.execute(insert(table), row | {"body_hash": body_hash, "expires_at": expires_at})
        return Idempotency.FRESH
    if entry["body_hash"] != body_hash:
        return Idempotency.MISMATCH
    if entry["status"] is None:
        return Idempotency.IN_FLIGHT
    return StoredAnswer(entry["status"], entry["content_type"], entry["body"])


def remember(db: Connection, account_id: str, idempotency_key: str, answer: StoredAnswer, expires_at: int) -> None:
    """Keep the answer, unless there is one."""
    values = {"status": answer.status, "content_type": answer.content_type, "body": answer.body}
    running = (*_is(account_id, idempotency_key), table.c.status.is_(None))
    db.execute(update(table).where(*running).values(values | {"expires_at": expires_at}))


def abandon(db: Connection, account_id: str, idempotency_key: str) -> None:
    """Forget the key, unless it has an answer."""
    db.execute(delete(table).where(*_is(account_id, idempotency_key), table.c.status.is_(None)))


def _is(account_id: str, idempotency_key: str) -> tuple[ColumnElement[bool], ...]:
    return (table.c.account_id == account_id, table.c.idempotency_key == idempotency_key)


def _prune(db: Connection, now: int) -> None:
    expired = select(table.c.account_id, table.c.idempotency_key).where(table.c.expires_at <= now)
    old = db.execute(expired.order_by(table.c.expires_at).limit(_PRUNED_AT_ONCE)).all()
    for account_id, idempotency_key in old:
        db.execute(delete(table).where(*_is(account_id, idempotency_key)))
