"""The table's schema: how the table is made, that it is ours and of our version, and what a copy may do.

The schema's item holds its version and the id of the table it was written in. A table that was restored
from a backup is another table, with another id; keys that were revoked after the backup are alive in it
again. So a ledger whose ids differ does not open, until `adopt` has made the revocations anew.

A deployment makes the table itself (infra/); `create_table` is for a laptop and for tests.
"""

from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from penstock.clock import now_ms
from penstock.ledger.dynamodb import callers
from penstock.ledger.dynamodb import switch as switches
from penstock.ledger.dynamodb.expression import Update
from penstock.ledger.dynamodb.keys import PARTITION, SCHEMA, SORT
from penstock.ledger.dynamodb.table import ConditionFailed, Table
from penstock.ledger.dynamodb.values import Item
from penstock.ledger.records import LedgerUnavailable

VERSION = 1
EXPIRES = "expires"  # the attribute of the table's TTL: seconds since the epoch


async def check(table: Table) -> int:
    """The schema's version, written where the table is new. Raises LedgerUnavailable where it is not ours."""
    table_id = _id(await table.describe())
    schema = await table.get(SCHEMA)
    if schema is None:
        schema = await _write(table, table_id)
    _check_version(table, schema)
    if schema["table_id"] != table_id:
        raise LedgerUnavailable(
            f"the table {table.name} is a copy of another, in which keys may have been revoked since: "
            "`penstock ledger adopt` takes it over"
        )
    version: int = schema["version"]
    return version


async def create_table(name: str) -> None:
    """Make the table, where there is none, and wait until it can be used. Raises LedgerUnavailable."""
    table = await Table.connect(name)
    try:
        await _create(table)
    finally:
        await table.close()


async def delete_table(name: str) -> None:
    """Delete the table with everything in it; nothing where there is none. For tests."""
    table = await Table.connect(name)
    try:
        await table.client.delete_table(TableName=name)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
    finally:
        await table.close()


async def adopt(name: str, *, revocations_from: str | None = None, revoke_all: bool = False) -> int:
    """Take a restored table over; the number of keys that were ended in it.

    Either every key that has ended in the table `revocations_from` ends here too, and what is off there is off
    here: accounts, and the switch over everybody. Or, with `revoke_all`, every key is revoked. A key made after
    the backup is in neither, and so opens nothing. Raises LedgerUnavailable, ValueError where neither is given,
    or both.
    """
    if (revocations_from is None) is not revoke_all:
        raise ValueError("say where the revocations are, or that all keys are to be revoked; not both")
    table = await Table.connect(name)
    try:
        _check_version(table, await table.get(SCHEMA) or {"version": VERSION})
        ended = await (_revoke_all(table) if revocations_from is None else _carry_over(table, revocations_from))
        await table.update(Update(SCHEMA).set(version=VERSION, table_id=_id(await table.describe())))
    finally:
        await table.close()
    return ended


def _check_version(table: Table, schema: Item) -> None:
    if schema["version"] > VERSION:
        raise LedgerUnavailable(
            f"the schema of the table {table.name} is version {schema['version']} and this program knows up to "
            f"{VERSION}: update Penstock"
        )


async def _revoke_all(table: Table) -> int:
    now = now_ms()
    alive = [key for key in await callers.keys(table, None) if key.usable(now)]
    for key in alive:
        await callers.revoke_key(table, key.id, now)
    return len(alive)


async def _carry_over(table: Table, source: str) -> int:
    now = now_ms()
    original = await Table.connect(source)
    try:
        there = {key.id: key for key in await callers.keys(original, None)}
        off = {account.id for account in await callers.accounts(original) if not account.enabled}
        switch = await switches.get(original)
    finally:
        await original.close()
    ended = 0
    for key in await callers.keys(table, None):
        if key.usable(now) and (key.id not in there or not there[key.id].usable(now)):
            await callers.revoke_key(table, key.id, now)
            ended += 1
        elif (expires_at := there[key.id].expires_at if key.id in there else None) is not None:
            await callers.expire_key(table, key.id, expires_at)
    if not switch.on:
        await switches.put(table, switch)
    for account in await callers.accounts(table):
        if account.id in off and account.enabled:
            await callers.set_account(
                table, account.id, enabled=False, limits=account.limits, keep_answers=account.keep_answers
            )
    return ended


async def _write(table: Table, table_id: str) -> Item:
    schema: Item = {**SCHEMA, "version": VERSION, "table_id": table_id}
    try:
        await table.put(schema)
    except ConditionFailed as failed:
        return failed.item or schema  # another process was first
    return schema


async def _create(table: Table) -> None:
    try:
        await _make(table)
        await _let_records_end(table)
    except (BotoCoreError, ClientError, OSError) as error:
        raise LedgerUnavailable(f"cannot make the table {table.name}: {' '.join(str(error).split())}") from error


async def _make(table: Table) -> None:
    keys = ((PARTITION, "HASH"), (SORT, "RANGE"))
    try:
        await table.client.create_table(
            TableName=table.name,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name, _ in keys],
            KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys],
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceInUseException":
            raise
    # Also where another is making it at the same time.
    await table.client.get_waiter("table_exists").wait(
        TableName=table.name, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )


async def _let_records_end(table: Table) -> None:
    ttl = await table.client.describe_time_to_live(TableName=table.name)
    if ttl["TimeToLiveDescription"]["TimeToLiveStatus"] != "DISABLED":
        return
    try:
        await table.client.update_time_to_live(
            TableName=table.name, TimeToLiveSpecification={"Enabled": True, "AttributeName": EXPIRES}
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ValidationException":  # another has just done it
            raise


def _id(description: dict[str, Any]) -> str:
    table_id: str = description["TableId"]
    return table_id
