"""The SQLite file: its connections, its two kinds of transaction, and what is said when it cannot be had.

A write transaction begins with BEGIN IMMEDIATE, so it holds the write lock before it reads anything: what
it read is still so when it commits, whichever processes share the file. (A deferred one that reads and
then writes loses updates, or fails half-way.) Within a process the writers queue in order.

Used from one event loop. Work is plain functions over a Connection. A transaction runs in one piece, on a
thread of the store's: one for those that write, and some for those that read, so that no reader waits
behind a writer. What work looks at, beside the file, may be looked at by several threads at once.

The threads end with `close`. Where nobody closes they end with the interpreter, which waits for the
transactions that run, if there are any: for up to PATIENCE, where another process has the file.
"""

import asyncio
import errno
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError, IntegrityError, InterfaceError, ProgrammingError

from penstock.ledger.records import LedgerUnavailable
from penstock.ledger.sqlite.migrations import MIGRATIONS, migrate, version_of

P = ParamSpec("P")
T = TypeVar("T")

# How long a transaction waits for its turn before it is refused: longer than any transaction of ours
# takes on a slow disk, shorter than a caller's patience.
PATIENCE = 10.0  # seconds
_READERS = 3  # threads, and connections
_BEGIN = "penstock_begin"

_PRAGMAS = (
    "foreign_keys = ON",
    # FULL flushes the log at every commit. NORMAL would be enough against kill -9, since what was written
    # is then the operating system's; only FULL also keeps an acknowledged write through a power loss.
    "synchronous = FULL",
)


class Store:
    """One open file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._closing: Future[None] | None = None
        self._writing = _engine(path, connections=1)
        self._reading = _engine(path, connections=_READERS).execution_options(**{_BEGIN: "BEGIN"})
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="ledger-writer")
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="ledger-reader")

    @classmethod
    async def open(cls, path: Path) -> "Store":
        """Open the file, made or migrated where needed. Raises LedgerUnavailable, with the reason."""
        _make(path)
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
        """Run the work on one unchanging view of the file.

        A caller that is cancelled while it waits for its turn reads nothing.
        """
        with self._answerable():
            return await _in_turn(self._readers, lambda: _transact(self._reading, work, *args, **kwargs))

    async def write(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the work as a write transaction: all of it or, where it raises, nothing.

        A caller that is cancelled while it waits for its turn writes nothing; later than that, the
        transaction runs to its end without it.
        """
        with self._answerable():
            return await _in_turn(self._writer, lambda: _transact(self._writing, work, *args, **kwargs))

    async def close(self) -> None:
        """Let go of connections and threads, once what was called has ended. Later calls raise LedgerUnavailable.

        Whoever is cancelled here has closed it nevertheless: that goes on without the caller.
        """
        if self._closing is None:
            self._closing = self._writer.submit(self._let_go)  # the writer's last
            self._writer.shutdown(wait=False)
        await asyncio.shield(asyncio.wrap_future(self._closing))
        self._writer.shutdown()  # its thread has nothing left to do

    def _let_go(self) -> None:
        self._readers.shutdown()
        self._reading.dispose()
        self._writing.dispose()

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
                    return await _in_turn(self._writer, self._switch_to_wal)
            except LedgerUnavailable:
                if asyncio.get_running_loop().time() > give_up:
                    raise
                await asyncio.sleep(0.02)

    def _switch_to_wal(self) -> None:
        with self._writing.connect() as db:
            db.execution_options(**{_BEGIN: None}).exec_driver_sql("PRAGMA journal_mode = WAL")

    @contextmanager
    def _answerable(self) -> Iterator[None]:
        if self._closing is not None:
            raise LedgerUnavailable("the ledger is closed")
        try:
            yield
        except TimeoutError as error:
            raise LedgerUnavailable(f"the ledger was busy for {PATIENCE:g} seconds") from error
        except (IntegrityError, ProgrammingError):
            raise  # a mistake of ours, not of the store
        except (DatabaseError, InterfaceError) as error:
            raise LedgerUnavailable(str(error.orig)) from error


def _make(path: Path) -> None:
    """Make the file, where there is none. Raises LedgerUnavailable."""
    try:
        # The mode is set at creation, so that nobody can read it in between; the log follows it.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        # It is not opened here: closing a file takes away all locks that this process has on it, other stores' too.
        if path.is_dir():
            raise LedgerUnavailable(f"cannot open the ledger {path}: {os.strerror(errno.EISDIR)}") from None
    except OSError as error:
        raise LedgerUnavailable(f"cannot open the ledger {path}: {error.strerror}") from error


async def _in_turn(threads: Executor, work: Callable[[], T]) -> T:
    """Run the work on one of the threads. Raises TimeoutError where none of them began it within PATIENCE.

    To be cancelled, or to give up, takes the work back unless it has begun. What has begun is not stopped:
    half-way it would leave its connection, and with it the file's write lock, to nobody.
    """
    turn = threads.submit(work)
    try:
        async with asyncio.timeout(PATIENCE):
            return await asyncio.wrap_future(turn)
    except TimeoutError:
        if turn.cancel():
            raise
    return await asyncio.wrap_future(turn)


def _transact(engine: Engine, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
    with engine.begin() as db:
        return work(db, *args, **kwargs)


def _engine(path: Path, connections: int) -> Engine:
    """As many connections as there are threads that use them: none ever waits for one.

    SQLAlchemy lets a file's connection serve one thread now and another later, and never two at once.
    """
    engine = create_engine(
        URL.create("sqlite", database=str(path.absolute())),
        pool_size=connections,
        max_overflow=0,
        hide_parameters=True,  # an error's message holds no digest and no answer
    )
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
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
