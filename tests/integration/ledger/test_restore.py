"""A table that is not the one it was: restored from a backup, newer than the program, not there, out of reach."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from penstock.clock import MINUTE, now_ms
from penstock.ledger import Key, Ledger, LedgerUnavailable, Limits, Switch, create_ledger, open_ledger
from penstock.ledger.dynamodb import adopt, create_table, delete_table
from penstock.ledger.dynamodb.expression import Update
from penstock.ledger.dynamodb.keys import SCHEMA
from penstock.ledger.dynamodb.table import Table
from tests.contract.samples import enrol

pytestmark = pytest.mark.anyio

OFF = Switch(on=False, reason="an incident", changed_at=1)
LIMITS = Limits(concurrent_requests=3, monthly_budget=10**9)


async def write(url: str, change: Update) -> None:
    """Change an item behind the ledger's back."""
    table = await Table.connect(name_of(url))
    await table.update(change)
    await table.close()


def name_of(url: str) -> str:
    return url.removeprefix("dynamodb://")


@pytest.fixture
async def restored(dynamodb_url: str) -> AsyncIterator[str]:
    """The URL of a copy, as a restore makes it: another table with the same items, and so a foreign schema."""
    url = f"{dynamodb_url}-restored"
    await create_table(name_of(url))
    ledger = await open_ledger(dynamodb_url)
    await enrolled(ledger)
    await ledger.close()
    source, copy = await Table.connect(name_of(dynamodb_url)), await Table.connect(name_of(url))
    async for item in source._pages(source.client.scan):
        await copy.put(item)
    await source.close()
    await copy.close()
    yield url
    await delete_table(name_of(url))


async def enrolled(ledger: Ledger) -> None:
    """Two accounts, one of them with a key more for each fate."""
    caller = await enrol(ledger, account=LIMITS)
    await enrol(ledger, account=LIMITS, name="bolt")
    for fate in ("revoked", "expiring", "expired", "untouched"):
        await ledger.create_key(replace(caller.key, id=fate))


async def ended_since(url: str) -> int:
    """What became of the keys after the backup; when one of them ends."""
    later = now_ms() + MINUTE
    ledger = await open_ledger(url)
    await ledger.revoke_key("revoked", now_ms())
    await ledger.expire_key("expiring", later)
    await ledger.expire_key("expired", now_ms())
    await ledger.set_account("bolt", enabled=False, limits=Limits())
    await ledger.set_switch(OFF)
    await ledger.close()
    return later


async def keys_of(ledger: Ledger) -> dict[str, Key]:
    return {key.id: key for key in await ledger.keys()}


async def test_a_restored_table_does_not_open_until_it_is_adopted(restored: str) -> None:
    with pytest.raises(LedgerUnavailable, match=f"{name_of(restored)} is a copy of another.*`penstock ledger adopt`"):
        await open_ledger(restored)
    await adopt(name_of(restored), revoke_all=True)
    ledger = await open_ledger(restored)
    assert await ledger.schema_version() == 1
    assert (await ledger.audit(now_ms())).findings == ()
    await ledger.close()


async def test_an_adopted_table_has_the_revocations_of_the_old_one(dynamodb_url: str, restored: str) -> None:
    later = await ended_since(dynamodb_url)
    assert await adopt(name_of(restored), revocations_from=name_of(dynamodb_url)) == 2
    ledger = await open_ledger(restored)
    keys = await keys_of(ledger)
    now = now_ms()
    assert {key.id for key in keys.values() if not key.usable(now)} == {"revoked", "expired"}
    assert keys["expiring"].expires_at == later
    assert keys["untouched"].expires_at is None
    accounts = {account.id: account for account in await ledger.accounts()}
    assert (accounts["acme"].enabled, accounts["bolt"].enabled) == (True, False)
    # What the limits were is no revocation.
    assert accounts["acme"].limits == accounts["bolt"].limits == LIMITS
    assert await ledger.switch() == OFF
    await ledger.close()


async def test_a_key_that_the_old_table_does_not_know_is_revoked(dynamodb_url: str, restored: str) -> None:
    stranger = await Table.connect(name_of(restored))
    await stranger.put({"pk": "keys#acme", "sk": "stranger"})
    item: dict[str, Any] = await stranger.get({"pk": "key#untouched", "sk": "-"}) or {}
    await stranger.put(item | {"pk": "key#stranger", "id": "stranger"})
    await stranger.close()
    assert await adopt(name_of(restored), revocations_from=name_of(dynamodb_url)) == 1
    ledger = await open_ledger(restored)
    keys = await keys_of(ledger)
    assert [key.id for key in keys.values() if key.revoked_at is not None] == ["stranger"]
    await ledger.close()


async def test_a_table_adopted_without_the_old_one_has_no_usable_key(restored: str) -> None:
    assert await adopt(name_of(restored), revoke_all=True) == 6
    ledger = await open_ledger(restored)
    assert [key for key in await ledger.keys() if key.usable(now_ms())] == []
    assert all(account.enabled for account in await ledger.accounts())
    await ledger.close()


async def test_an_adoption_may_be_repeated(dynamodb_url: str, restored: str) -> None:
    await ended_since(dynamodb_url)
    await adopt(name_of(restored), revocations_from=name_of(dynamodb_url))
    assert await adopt(name_of(restored), revocations_from=name_of(dynamodb_url)) == 0
    await (await open_ledger(restored)).close()


@pytest.mark.parametrize("said", [{}, {"revocations_from": "other", "revoke_all": True}])
async def test_an_adoption_says_where_the_revocations_are(restored: str, said: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="say where the revocations are"):
        await adopt(name_of(restored), **said)
    with pytest.raises(LedgerUnavailable, match="a copy of another"):
        await open_ledger(restored)


async def test_a_failed_adoption_leaves_the_table_shut(restored: str) -> None:
    with pytest.raises(LedgerUnavailable, match="there is no table nowhere"):
        await adopt(name_of(restored), revocations_from="nowhere")
    with pytest.raises(LedgerUnavailable, match="a copy of another"):
        await open_ledger(restored)


async def test_a_newer_schema_is_not_touched(dynamodb_url: str) -> None:
    await (await open_ledger(dynamodb_url)).close()
    await write(dynamodb_url, Update(SCHEMA).set(version=2))
    with pytest.raises(LedgerUnavailable, match="is version 2 and this program knows up to 1: update Penstock"):
        await open_ledger(dynamodb_url)


async def test_a_newer_restored_table_is_not_adopted(restored: str) -> None:
    await write(restored, Update(SCHEMA).set(version=2))
    with pytest.raises(LedgerUnavailable, match="update Penstock"):
        await adopt(name_of(restored), revoke_all=True)
    with pytest.raises(LedgerUnavailable, match="update Penstock"):
        await open_ledger(restored)


async def test_four_that_open_a_new_table_at_once_all_get_it(dynamodb_url: str) -> None:
    ledgers = await asyncio.gather(*(open_ledger(dynamodb_url) for _ in range(4)))
    assert {await ledger.schema_version() for ledger in ledgers} == {1}
    for ledger in ledgers:
        await ledger.close()


async def test_four_that_make_the_same_table_at_once_all_get_it(dynamodb: str | None) -> None:
    url = f"dynamodb://penstock-test-{uuid4().hex}"
    ledgers = await asyncio.gather(*(create_ledger(url) for _ in range(4)))
    for ledger in ledgers:
        await ledger.close()
    table = await Table.connect(name_of(url))
    ttl = await table.client.describe_time_to_live(TableName=table.name)
    assert ttl["TimeToLiveDescription"] == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"}
    await table.close()
    await delete_table(name_of(url))


async def test_a_missing_table_is_named_in_one_line(dynamodb: str | None) -> None:
    with pytest.raises(LedgerUnavailable) as raised:
        await open_ledger("dynamodb://nowhere")
    assert str(raised.value) == "there is no table nowhere; a deployment makes it, or `penstock ledger create`"
