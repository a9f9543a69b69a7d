"""Accounts and their keys.

An account's item is also where its requests are counted; here it is read and changed as settings. Every
change to an account, or to one of its keys, makes the account's revision another: a reservation is granted
to the revision that its caller was looked up at, and to no other.
"""

from collections.abc import Sequence
from dataclasses import asdict, fields

from penstock.ledger.dynamodb.expression import Update
from penstock.ledger.dynamodb.keys import (
    ACCOUNTS,
    SORT,
    account_key,
    key_key,
    keys_of,
    listed_account,
    listed_key,
)
from penstock.ledger.dynamodb.table import ConditionFailed, Table
from penstock.ledger.dynamodb.values import Item
from penstock.ledger.records import Account, Caller, Key, Limits


async def create_account(table: Table, account: Account) -> None:
    """Add it. ValueError where the id is another account's."""
    item: Item = {
        **account_key(account.id),
        "id": account.id,
        "name": account.name,
        "created_at": account.created_at,
        "on": account.enabled,
        "keep_answers": account.keep_answers,
        "limits": _limits_item(account.limits),
        "revision": 1,
        "live": {},
        "late": {},
    }
    try:
        await table.transact(item, listed_account(account.id))
    except ConditionFailed as failed:
        if failed.item is None or account_of(failed.item) != account:
            raise ValueError(f"there is an account {account.id!r} already") from None


async def accounts(table: Table) -> Sequence[Account]:
    """All, oldest first."""
    found = map(account_of, await account_items(table))
    return sorted(found, key=lambda account: (account.created_at, account.id))


async def account_items(table: Table) -> list[Item]:
    """The items of all accounts."""
    ids = [entry[SORT] for entry in await table.query(ACCOUNTS)]
    return await table.get_all([account_key(account_id) for account_id in ids])


async def account(table: Table, account_id: str) -> Account | None:
    """The account, if there is one."""
    item = await table.get(account_key(account_id))
    return None if item is None else account_of(item)


async def set_account(table: Table, account_id: str, *, enabled: bool, limits: Limits, keep_answers: bool) -> Account:
    """Change it. KeyError where there is no such account."""
    update = Update(account_key(account_id))
    update.set(on=enabled, keep_answers=keep_answers, limits=_limits_item(limits)).add({"revision": 1})
    try:
        return account_of(await table.update(update.where(update.exists("pk"))))
    except ConditionFailed:
        raise KeyError(account_id) from None


async def create_key(table: Table, key: Key) -> None:
    """Add it. ValueError where the id is another key's, KeyError where there is no such account."""
    if await table.get(account_key(key.account_id)) is None:
        raise KeyError(key.account_id)
    item: Item = {**key_key(key.id), **_key_item(key)}
    try:
        await table.transact(item, listed_key(key.account_id, key.id))
    except ConditionFailed as failed:
        if failed.item is None or key_of(failed.item) != key:
            raise ValueError(f"there is a key {key.id!r} already") from None


async def keys(table: Table, account_id: str | None) -> Sequence[Key]:
    """Those of an account, or all, oldest first."""
    of = [entry[SORT] for entry in await table.query(ACCOUNTS)] if account_id is None else [account_id]
    ids = [entry[SORT] for one in of for entry in await table.query(keys_of(one))]
    found = map(key_of, await table.get_all([key_key(key_id) for key_id in ids]))
    return sorted(found, key=lambda key: (key.created_at, key.id))


async def caller(table: Table, key_id: str) -> Caller | None:
    """The key with its account, as they are now."""
    item = await table.get(key_key(key_id))
    account_item = None if item is None else await table.get(account_key(item["account_id"]))
    # The key is read again: revoked between the two, it would otherwise open what the account's revision allows.
    return None if account_item is None else await caller_in(table, account_item, key_id)


async def caller_in(table: Table, account_item: Item, key_id: str) -> Caller | None:
    """The caller, given its account's item. The key is read after it: a later change of it is a later revision."""
    item = await table.get(key_key(key_id))
    if item is None or item["account_id"] != account_item["id"]:
        return None
    return caller_of(account_item, key_of(item))


async def set_key(
    table: Table, key_id: str, *, limits: Limits, models: frozenset[str] | None, routes: frozenset[str] | None
) -> Key:
    """Change its limits and scope. KeyError where there is no such key."""
    update = Update(key_key(key_id)).set(limits=_limits_item(limits))
    for name, names in (("models", models), ("routes", routes)):
        if names is None:
            update.remove((name,))
        else:
            update.set(**{name: _joined(names)})
    return await _change_key(table, key_id, update)


async def expire_key(table: Table, key_id: str, expires_at: int) -> Key:
    """Set its end, unless it ends earlier. KeyError where there is no such key."""
    update = Update(key_key(key_id)).set(expires_at=expires_at)
    later = f"({update.absent('expires_at')} OR {update.name('expires_at')} > {update.value(expires_at)})"
    return await _change_key(table, key_id, update.where(later))


async def revoke_key(table: Table, key_id: str, now: int) -> Key:
    """Revoke it, unless it is revoked. KeyError where there is no such key."""
    return await _change_key(table, key_id, Update(key_key(key_id)).set_once("revoked_at", now))


async def _change_key(table: Table, key_id: str, update: Update) -> Key:
    """Change the key, and then its account's revision: called again, it finishes what was cut off between."""
    try:
        item = await table.update(update.where(update.exists("pk")))
    except ConditionFailed as failed:
        if failed.item is None:
            raise KeyError(key_id) from None
        item = failed.item
    revised = Update(account_key(item["account_id"])).add({"revision": 1})
    await table.update(revised.where(revised.exists("pk")))
    return key_of(item)


def account_of(item: Item) -> Account:
    """The account in its item."""
    return Account(
        id=item["id"],
        name=item["name"],
        created_at=item["created_at"],
        enabled=item["on"],
        limits=Limits(**item["limits"]),
        keep_answers=item["keep_answers"],
    )


def key_of(item: Item) -> Key:
    """The key in its item."""
    return Key(
        id=item["id"],
        account_id=item["account_id"],
        name=item["name"],
        digest=item["digest"],
        created_at=item["created_at"],
        expires_at=item.get("expires_at"),
        revoked_at=item.get("revoked_at"),
        models=_split(item.get("models")),
        limits=Limits(**item["limits"]),
        routes=_split(item.get("routes")),
    )


def caller_of(account_item: Item, key: Key) -> Caller:
    """The caller, of the revision that its account's item has."""
    return Caller(account_of(account_item), key, account_item["revision"])


def _key_item(key: Key) -> Item:
    named = {field.name: getattr(key, field.name) for field in fields(Key)}
    item = {name: value for name, value in named.items() if value is not None}
    for name in ("models", "routes"):
        if name in item:
            item[name] = _joined(item[name])
    return item | {"limits": _limits_item(key.limits)}


def _limits_item(limits: Limits) -> Item:
    return {name: limit for name, limit in asdict(limits).items() if limit is not None}


def _joined(names: frozenset[str]) -> str:
    return ",".join(sorted(names))  # no name of a model or a group of routes has a comma


def _split(text: str | None) -> frozenset[str] | None:
    return None if text is None else frozenset(filter(None, text.split(",")))
