"""Ledgers whose users die: after a number of writes, each of which has taken effect.

A death is what `kill -9` is to the store: what was written stays, and nothing more is. On DynamoDB one call of
the ledger is several writes, so it can fall between them: after a settlement's transaction and before its
release, after a dead lease's record and before its account. On SQLite a call is one transaction.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection

from penstock.ledger import Ledger
from penstock.ledger.dynamodb.expression import Key, Update
from penstock.ledger.dynamodb.ledger import DynamoLedger
from penstock.ledger.dynamodb.schema import check
from penstock.ledger.dynamodb.table import Table, Write
from penstock.ledger.dynamodb.values import Item
from penstock.ledger.sqlite import SqliteLedger
from penstock.ledger.sqlite.store import Store

P = ParamSpec("P")
T = TypeVar("T")


class Died(Exception):
    """The process is no more."""


class Life:
    """How many more writes somebody makes. Shared by all tasks that work for the same one."""

    def __init__(self, writes: int) -> None:
        self.writes = writes

    def wrote(self) -> None:
        """One write took effect. Raises Died."""
        self.writes -= 1
        if self.writes <= 0:
            raise Died


# Whose work a task does; one who has none here lives for ever.
life: ContextVar[Life | None] = ContextVar("life", default=None)


def _wrote() -> None:
    if (mine := life.get()) is not None:
        mine.wrote()


class MortalTable(Table):
    """A table whose writes are counted."""

    async def update(self, update: Update) -> Item:
        item = await super().update(update)
        _wrote()
        return item

    async def put(self, item: Item, **conditions: Any) -> None:
        await super().put(item, **conditions)
        _wrote()

    async def delete(self, key: Key, *conditions: str, **given: Any) -> None:
        await super().delete(key, *conditions, **given)
        _wrote()

    async def transact(self, first: Update | Item, *others: Write) -> None:
        await super().transact(first, *others)
        _wrote()


class MortalStore(Store):
    """A file whose write transactions are counted."""

    async def write(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        done = await super().write(work, *args, **kwargs)
        _wrote()
        return done


@asynccontextmanager
async def mortal(url: str) -> AsyncIterator[Ledger]:
    """The ledger at `url`, open."""
    scheme, _, rest = url.partition("://")
    opened: Ledger
    if scheme == "dynamodb":
        table = await MortalTable.connect(rest)
        opened = DynamoLedger(table, await check(table))
    else:
        opened = SqliteLedger(await MortalStore.open(Path(rest.removeprefix("/"))))
    try:
        yield opened
    finally:
        await opened.close()
