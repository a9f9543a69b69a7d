"""The ledger on dynalite, which refuses what DynamoDB refuses, and gives no item with a failed condition."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from uuid import uuid4

import pytest

from penstock.batches import Book
from penstock.batches.dynamodb import DynamoBook
from penstock.ledger import Ledger
from penstock.ledger.dynamodb.expression import Update
from penstock.ledger.dynamodb.keys import PARTITION, SORT
from penstock.ledger.dynamodb.ledger import DynamoLedger
from penstock.ledger.dynamodb.schema import VERSION
from penstock.ledger.dynamodb.table import ConditionFailed, Deletion, Table, Write
from penstock.ledger.dynamodb.values import Item
from tests.servers.environment import lead_to


class SingleTable(Table):
    """A table of a store without transactions: the writes of one are made by themselves, one after the other.

    So each keeps its expression, and its condition; only that nothing else comes in between is not kept. Whoever is
    cut off between the two is finished here.
    """

    async def transact(self, first: Update | Item, *others: Write) -> None:
        await self._one(first)
        for other in others:
            await self._one(other)

    async def _one(self, write: Write) -> None:
        if isinstance(write, Deletion):
            with suppress(ConditionFailed):  # there is none
                await self.delete(write.key)
        else:
            await (self.update(write) if isinstance(write, Update) else self.put(write))


@pytest.fixture
async def table(anyio_backend: str, dynalite_server: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Table]:
    """New and empty."""
    lead_to(dynalite_server, monkeypatch)
    name = f"strict-{uuid4().hex}"
    opened = await SingleTable.connect(name)
    keys = ((PARTITION, "HASH"), (SORT, "RANGE"))  # and no TTL, which dynalite does not know
    await opened.client.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": one, "AttributeType": "S"} for one, _ in keys],
        KeySchema=[{"AttributeName": one, "KeyType": kind} for one, kind in keys],
    )
    while (await opened.describe())["TableStatus"] != "ACTIVE":
        await asyncio.sleep(0.005)
    yield opened
    await opened.client.delete_table(TableName=name)
    await opened.close()


@pytest.fixture
async def ledger(table: Table) -> Ledger:
    """On that table. dynalite's tables have no ids to check."""
    return DynamoLedger(table, VERSION)


@pytest.fixture
async def book(table: Table) -> Book:
    """On that table."""
    return DynamoBook(table)
