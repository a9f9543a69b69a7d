"""Requests under an `Idempotency-Key`, and the answers kept for their repetitions."""

from sqlalchemy import ColumnElement, Connection, RowMapping, delete, select, update
from sqlalchemy.dialects.sqlite import insert

from penstock.ledger.records import Idempotency, StoredAnswer
from penstock.ledger.sqlite.tables import idempotency as table

_PRUNED_AT_ONCE = 100  # entries; more than one call can add, so that the table stays bounded


def begin(
    db: Connection,
    account_id: str,
    idempotency_key: str,
    body_hash: str,
    attempt: str,
    *,
    now: int,
    expires_at: int,
) -> StoredAnswer | Idempotency:
    """Take the key up, or say what became of it."""
    _prune(db, now)
    entry = _entry(db, account_id, idempotency_key)
    if entry is not None and entry["expires_at"] > now:
        return _became(entry, body_hash, attempt)
    db.execute(delete(table).where(*_is(account_id, idempotency_key)))
    row = {"account_id": account_id, "idempotency_key": idempotency_key, "body_hash": body_hash}
    db.execute(insert(table), row | {"attempt": attempt, "answered": False, "expires_at": expires_at})
    return Idempotency.FRESH


def remember(
    db: Connection,
    account_id: str,
    idempotency_key: str,
    attempt: str,
    answer: StoredAnswer | None,
    *,
    expires_at: int,
) -> bool:
    """Keep the answer, or that there was one, unless that was done. False where the attempt has the key no more."""
    values: dict[str, object] = {"answered": True, "expires_at": expires_at}
    if answer is not None:
        values |= {"status": answer.status, "content_type": answer.content_type, "body": answer.body}
    running = (*_is(account_id, idempotency_key), table.c.attempt == attempt, ~table.c.answered)
    db.execute(update(table).where(*running).values(values))
    entry = _entry(db, account_id, idempotency_key)
    return entry is not None and entry["attempt"] == attempt


def abandon(db: Connection, account_id: str, idempotency_key: str, attempt: str) -> None:
    """Forget the key, unless it was answered or is another attempt's."""
    running = (*_is(account_id, idempotency_key), table.c.attempt == attempt, ~table.c.answered)
    db.execute(delete(table).where(*running))


def _became(entry: RowMapping, body_hash: str, attempt: str) -> StoredAnswer | Idempotency:
    if entry["body_hash"] != body_hash:
        return Idempotency.MISMATCH
    if entry["status"] is not None:
        return StoredAnswer(entry["status"], entry["content_type"], entry["body"])
    if entry["answered"]:
        return Idempotency.UNKEPT
    return Idempotency.FRESH if entry["attempt"] == attempt else Idempotency.IN_FLIGHT


def _entry(db: Connection, account_id: str, idempotency_key: str) -> RowMapping | None:
    return db.execute(select(table).where(*_is(account_id, idempotency_key))).mappings().first()


def _is(account_id: str, idempotency_key: str) -> tuple[ColumnElement[bool], ...]:
    return (table.c.account_id == account_id, table.c.idempotency_key == idempotency_key)


def _prune(db: Connection, now: int) -> None:
    expired = select(table.c.account_id, table.c.idempotency_key).where(table.c.expires_at <= now)
    old = db.execute(expired.order_by(table.c.expires_at).limit(_PRUNED_AT_ONCE)).all()
    for account_id, idempotency_key in old:
        db.execute(delete(table).where(*_is(account_id, idempotency_key)))
