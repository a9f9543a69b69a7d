"""The stores that are measured, each with its peer: a bare write without a ledger, on the same server or disk."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from penstock.ledger import Ledger, create_ledger

TABLE = "penstock-bench"
_CONNECTIONS = 64  # as the ledger's own client has


@dataclass(frozen=True, slots=True)
class Store:
    """A ledger, and what to compare it with: `write` counts something of that name up by one, on its own."""

    name: str
    peer: str
    ledger: Ledger
    write: Callable[[str], Awaitable[object]]


@asynccontextmanager
async def sqlite(directory: Path) -> AsyncIterator[Store]:
    """The ledger in a file, and beside it another file with one table, of the same durability."""
    ledger = await create_ledger(f"sqlite:///{directory / 'ledger.db'}")
    database = sqlite3.connect(directory / "bare.db", isolation_level=None, check_same_thread=False)
    with closing(database), ThreadPoolExecutor(1) as thread:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("CREATE TABLE counts (name TEXT PRIMARY KEY, n INTEGER NOT NULL)")

        def write(name: str) -> None:
            database.execute("BEGIN IMMEDIATE")
            database.execute("INSERT INTO counts VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET n = n + 1", (name,))
            database.execute("COMMIT")

        loop = asyncio.get_running_loop()
        try:
            yield Store(
                "sqlite",
                "BEGIN IMMEDIATE, one row, COMMIT",
                ledger,
                lambda name: loop.run_in_executor(thread, write, name),
            )
        finally:
            await ledger.close()


@asynccontextmanager
async def dynamodb() -> AsyncIterator[Store]:
    """The ledger in a table of the server that the environment leads to, and items of no ledger beside it."""
    ledger = await create_ledger(f"dynamodb://{TABLE}")
    config = AioConfig(max_pool_connections=_CONNECTIONS, retries={"total_max_attempts": 1})
    try:
        async with get_session().create_client("dynamodb", config=config) as client:

            def write(name: str) -> Awaitable[object]:
                update: Awaitable[object] = client.update_item(
                    TableName=TABLE,
                    Key={"pk": {"S": f"bare#{name}"}, "sk": {"S": "-"}},
                    UpdateExpression="ADD n :one",
                    ConditionExpression="attribute_not_exists(n) OR n < :most",
                    ExpressionAttributeValues={":one": {"N": "1"}, ":most": {"N": "1000000000"}},
                )
                return update

            yield Store("dynamodb", "one conditional UpdateItem", ledger, write)
    finally:
        await ledger.close()
