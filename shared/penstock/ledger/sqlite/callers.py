"""Accounts and their keys."""

import json
from collections.abc import Sequence

from sqlalchemy import ColumnCollection, Connection, RowMapping, bindparam, func, insert, select, update
from sqlalchemy.sql.elements import KeyedColumnElement

from penstock.ledger.records import Account, Caller, Key, Limits
from penstock.ledger.sqlite.tables import accounts as account_table
from penstock.ledger.sqlite.tables import keys as key_table

_CALLER = (
    select(account_table, key_table).join_from(key_table, account_table).where(key_table.c.id == bindparam("key_id"))
)


def create_account(db: Connection, new: Account) -> None:
    """Add it. ValueError where the id is another account's."""
    known = account(db, new.id)
    if known is None:
        db.execute(insert(account_table).values(_account_row(new)))
    elif known != new:
        raise ValueError(f"there is an account {new.id!r} already")


def accounts(db: Connection) -> Sequence[Account]:
    """All, oldest first."""
    rows = db.execute(select(account_table).order_by(account_table.c.created_at, account_table.c.id))
    return [_account_of(row) for row in rows.mappings()]


def account(db: Connection, account_id: str) -> Account | None:
    """The one of that id."""
    row = db.execute(select(account_table).where(account_table.c.id == account_id)).mappings().first()
    return None if row is None else _account_of(row)


def set_account(db: Connection, account_id: str, *, enabled: bool, limits: Limits, keep_answers: bool) -> Account:
    """Change the switch, the limits and the retention. KeyError where there is no such account."""
    changes = {"enabled": enabled, "keep_answers": keep_answers} | _limits_row(limits)
    db.execute(update(account_table).where(account_table.c.id == account_id).values(changes))
    changed = account(db, account_id)
    if changed is None:
        raise KeyError(account_id)
    return changed


def create_key(db: Connection, key: Key) -> None:
    """Add it. ValueError where the id is another key's, KeyError where there is no such account."""
    if account(db, key.account_id) is None:
        raise KeyError(key.account_id)
    known = caller(db, key.id)
    if known is None:
        db.execute(insert(key_table).values(_key_row(key)))
    elif known.key != key:
        raise ValueError(f"there is a key {key.id!r} already")


def keys(db: Connection, account_id: str | None) -> Sequence[Key]:
    """Those of an account, or all, oldest first."""
    query = select(key_table).order_by(key_table.c.created_at, key_table.c.id)
    if account_id is not None:
        query = query.where(key_table.c.account_id == account_id)
    return [_key_of(row) for row in db.execute(query).mappings()]


def caller(db: Connection, key_id: str) -> Caller | None:
    """The key with its account, as they are now."""
    row = db.execute(_CALLER, {"key_id": key_id}).mappings().first()
    return None if row is None else Caller(_account_of(row), _key_of(row))


def set_key(
    db: Connection, key_id: str, *, limits: Limits, models: frozenset[str] | None, routes: frozenset[str] | None
) -> Key:
    """Change the limits and the scope. KeyError where there is no such key."""
    return _changed_key(db, key_id, _limits_row(limits) | _scope_row(models, routes))


def expire_key(db: Connection, key_id: str, expires_at: int) -> Key:
    """Set its end, unless it ends earlier. KeyError where there is no such key."""
    earlier = func.min(func.coalesce(key_table.c.expires_at, expires_at), expires_at)
    return _changed_key(db, key_id, {"expires_at": earlier})


def revoke_key(db: Connection, key_id: str, now: int) -> Key:
    """Revoke it, unless it is revoked. KeyError where there is no such key."""
    return _changed_key(db, key_id, {"revoked_at": func.coalesce(key_table.c.revoked_at, now)})


def _changed_key(db: Connection, key_id: str, changes: dict[str, object]) -> Key:
    db.execute(update(key_table).where(key_table.c.id == key_id).values(changes))
    changed = caller(db, key_id)
    if changed is None:
        raise KeyError(key_id)
    return changed.key


def _account_of(row: RowMapping) -> Account:
    columns = account_table.c
    return Account(
        id=row[columns.id],
        name=row[columns.name],
        created_at=row[columns.created_at],
        enabled=row[columns.enabled],
        limits=_limits_of(row, columns),
        keep_answers=row[columns.keep_answers],
    )


def _account_row(account: Account) -> dict[str, object]:
    return {
        "id": account.id,
        "name": account.name,
        "created_at": account.created_at,
        "enabled": account.enabled,
        "keep_answers": account.keep_answers,
    } | _limits_row(account.limits)


def _key_of(row: RowMapping) -> Key:
    columns = key_table.c
    return Key(
        id=row[columns.id],
        account_id=row[columns.account_id],
        name=row[columns.name],
        digest=row[columns.digest],
        created_at=row[columns.created_at],
        expires_at=row[columns.expires_at],
        revoked_at=row[columns.revoked_at],
        models=_names_of(row[columns.models]),
        limits=_limits_of(row, columns),
        routes=_names_of(row[columns.routes]),
    )


def _key_row(key: Key) -> dict[str, object]:
    return {
        "id": key.id,
        "account_id": key.account_id,
        "name": key.name,
        "digest": key.digest,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
    } | (_scope_row(key.models, key.routes) | _limits_row(key.limits))


def _scope_row(models: frozenset[str] | None, routes: frozenset[str] | None) -> dict[str, object]:
    return {
        name: None if names is None else json.dumps(sorted(names))
        for name, names in (("models", models), ("routes", routes))
    }


def _names_of(text: str | None) -> frozenset[str] | None:
    return None if text is None else frozenset(json.loads(text))


def _limits_of(row: RowMapping, columns: ColumnCollection[str, KeyedColumnElement[object]]) -> Limits:
    return Limits(
        requests_per_minute=row[columns.requests_per_minute],
        tokens_per_minute=row[columns.tokens_per_minute],
        concurrent_requests=row[columns.concurrent_requests],
        monthly_budget=row[columns.monthly_budget],
        monthly_tokens=row[columns.monthly_tokens],
    )


def _limits_row(limits: Limits) -> dict[str, object]:
    return {
        "requests_per_minute": limits.requests_per_minute,
        "tokens_per_minute": limits.tokens_per_minute,
        "concurrent_requests": limits.concurrent_requests,
        "monthly_budget": limits.monthly_budget,
        "monthly_tokens": limits.monthly_tokens,
    }
