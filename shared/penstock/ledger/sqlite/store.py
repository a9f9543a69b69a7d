"""The SQLite file: its connections, its two kinds of transaction, and what is said when it cannot be had.

A write transaction begins with BEGIN IMMEDIATE, so it holds the write lock before it reads anything: what
it read is still so when it commits, whichever processes share the file. (A deferred one that reads and
then writes loses updates, or fails half-way.) Within a process the writers queue in order.

Used from one event loop. Work is plain functions over a Connection, run in one piece.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import URL, Connection, event
from sqlalchemy.exc import DatabaseError, IntegrityError, InterfaceError, ProgrammingError
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from penstock.ledger.records import LedgerUnavailable
from penstock.ledger.sqlite.migrations import MIGRATIONS, migrate, version_of

P = ParamSpec("P")
T = TypeVar("T")

# How long a transaction waits for its turn before it is refused: longer than any transaction of ours
# takes on a slow disk, shorter than a caller's patience.
PATIENCE = 10.0  # seconds
_CONNECTIONS = 4  # one writes, the others read
_BEGIN = "penstock_begin"

_PRAGMAS = (
    "foreign_keys = ON",
    # FULL flushes the log at every commit. NORMAL would be enough against kill -9, since what was written
    # is then the operating system's; only FULL also keeps an acknowledged write through a power loss.
    "synchronous = FULL",
)

# aiosqlite writes every statement's parameters to its debug log. Digests of keys and the names of people's
# accounts are among them; they belong in no log.
logging.getLogger("aiosqlite").setLevel(logging.INFO)


class Store:
    """One open file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._closed = False
        self._turn = asyncio.Lock()
        self._running: set[asyncio.Task[Any]] = set()
        self._writing = _engine(path)
        self._reading = self._writing.execution_options(**{_BEGIN: "BEGIN"})

    @classmethod
    async def open(cls, path: Path) -> "Store":
        """Open the file, made or migrated where needed. Raises LedgerUnavailable, with the reason."""
        try:
            # The mode is set at creation, so that nobody can read it in between; the log follows it.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise LedgerUnavailable(f"cannot open the ledger {path}: {error.strerror}") from error
        store = cls(path)
        try:
            await store._prepare()
        except LedgerUnavailable as error:
            await store.close()
            raise LedgerUnavailable(f"cannot open the ledger {path}: {error}") from error
        except BaseException:
            await store.close()
            raise
        return store

    async def read(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the work on one unchanging view of the file."""
        with self._answerable():
            return await asyncio.shield(self._start(self._reading, lambda db: work(db, *args, **kwargs)))

    async def write(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the work as a write transaction: all of it or, where it raises, nothing.

        A caller that is cancelled while it waits for its turn writes nothing; later than that, the
        transaction runs to its end without it.
        """
        with self._answerable():
            async with asyncio.timeout(PATIENCE):
                await self._turn.acquire()
            transaction = self._start(self._writing, lambda db: work(db, *args, **kwargs))
            transaction.add_done_callback(lambda _: self._turn.release())
            return await asyncio.shield(transaction)

    async def close(self) -> None:
        """Let go of the connections, once what runs has ended. Later calls raise LedgerUnavailable."""
        self._closed = True
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._writing.dispose()

    def _start(self, engine: AsyncEngine, work: Callable[[Connection], T]) -> asyncio.Task[T]:
        """Begin a transaction as a task of its own.

        Cancelling one half-way would leave its connection, and with it the file's write lock, in the
        hands of a thread that nobody waits for.
        """

        async def transact() -> T:
            async with engine.begin() as db:
                return await db.run_sync(work)

        task = asyncio.create_task(transact())
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _prepare(self) -> None:
        # Looked at first: a file that is not ours stays as it is.
        version = await self.read(version_of)
        await self._keep_a_log()
        if version < len(MIGRATIONS):
            await self.write(migrate)

    async def _keep_a_log(self) -> None:
        """Switch the file to WAL, which lasts: readers and the writer do not wait for each other.

        SQLite does not wait for its turn here as it does elsewhere, so we do.
        """
        give_up = asyncio.get_running_loop().time() + PATIENCE
        while True:
            try:
                with self._answerable():
                    async with self._writing.connect() as db:
                        autocommit = await db.execution_options(**{_BEGIN: None})
                        await autocommit.exec_driver_sql("PRAGMA journal_mode = WAL")
                        return
            except LedgerUnavailable:
                if asyncio.get_running_loop().time() > give_up:
                    raise
                await asyncio.sleep(0.02)

    @contextmanager
    def _answerable(self) -> Iterator[None]:
        if self._closed:
            raise LedgerUnavailable("the ledger is closed")
        try:
            yield
        except (TimeoutError, NoConnection) as error:
            raise LedgerUnavailable(f"the ledger was busy for {PATIENCE:g} seconds") from error
        except (IntegrityError, ProgrammingError):
            raise  # a mistake of ours, not of the store
        except (DatabaseError, InterfaceError) as error:
            raise LedgerUnavailable(str(error.orig)) from error


def _engine(path: Path) -> AsyncEngine:
    engine = create_async_engine(
        URL.create("sqlite+aiosqlite", database=str(path.absolute())),
        pool_size=_CONNECTIONS,
        max_overflow=0,
        pool_timeout=PATIENCE,
        hide_parameters=True,  # an error's message holds no digest and no answer
    )
    event.listen(engine.sync_engine, "connect", _configure)
    event.listen(engine.sync_engine, "begin", _begin)
    return engine


def _configure(connection: Any, _: object) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself: `_begin` does
    cursor = connection.cursor()
    # Other processes' transactions are short as well, so waiting for them is right, and failing is rare.
    for pragma in (f"busy_timeout = {int(PATIENCE * 1000)}", *_PRAGMAS):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(db: Connection) -> None:
    begin = db.get_execution_options().get(_BEGIN, "BEGIN IMMEDIATE")
    if begin is not None:
        db.exec_driver_sql(begin)
