"""The threads of the SQLite store: whose turn it is, what a cancelled caller leaves, and when they end."""

import asyncio
import re
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from penstock.ledger import LedgerUnavailable
from penstock.ledger.sqlite import store as store_module
from penstock.ledger.sqlite.migrations import MIGRATIONS, version_of
from penstock.ledger.sqlite.store import Store

pytestmark = pytest.mark.anyio

ENOUGH = 60.0  # seconds for what takes none, on a machine that is busy

UNCLOSED = """
import asyncio
import sys
from pathlib import Path

from penstock.ledger.sqlite.migrations import version_of
from penstock.ledger.sqlite.store import Store

async def use():
    store = await Store.open(Path(sys.argv[1]))
    await asyncio.gather(*(call(version_of) for call in (store.read, store.write) for _ in range(9)))
    return store

store = asyncio.run(use())
print("used")
"""


class Dawdler:
    """Work that holds its thread, and what its transaction has taken, until it is told to finish."""

    def __init__(self, then: Callable[[Connection], None] | None = None) -> None:
        self.finish = threading.Event()
        self._started = threading.Event()
        self._then = then

    def __call__(self, db: Connection) -> None:
        self._started.set()
        assert self.finish.wait(ENOUGH)
        if self._then is not None:
            self._then(db)

    async def started(self) -> None:
        """Return once a thread has come to it."""
        async with asyncio.timeout(ENOUGH):
            while not self._started.is_set():
                await asyncio.sleep(0.001)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def threads() -> Callable[[], set[str]]:
    """The names of the threads that there are beside those of before."""
    before = set(threading.enumerate())
    return lambda: {thread.name for thread in set(threading.enumerate()) - before}


@pytest.fixture
async def store(anyio_backend: str, path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(path)
    yield opened
    await opened.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "PATIENCE", 0.2)


def spend(month: str) -> Callable[[Connection], None]:
    """Work that writes one row."""

    def work(db: Connection) -> None:
        db.execute(text("INSERT INTO months VALUES ('account:acme', :month, 1, 1)"), {"month": month})

    return work


def spent(db: Connection) -> list[str]:
    """The rows' months, as they were written."""
    return list(db.execute(text("SELECT month FROM months ORDER BY month")).scalars())


def spent_in(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as db:
        return [month for (month,) in db.execute("SELECT month FROM months ORDER BY month")]


def files_beside(path: Path) -> set[str]:
    """The file's name, and those of its log, which is there as long as a connection is."""
    return {file.name for file in path.parent.iterdir()}


async def begun(*calls: asyncio.Task[None]) -> None:
    """Return once each of them waits for its turn, or is further."""
    await asyncio.sleep(0)
    assert not any(call.done() for call in calls)


async def test_work_runs_beside_the_event_loop_and_those_who_read_beside_those_who_write(store: Store) -> None:
    def thread(_: Connection) -> str:
        return threading.current_thread().name

    writer, reader = await store.write(thread), await store.read(thread)
    assert len({writer, reader, threading.current_thread().name}) == 3
    assert {await store.write(thread) for _ in range(5)} == {writer}


async def test_writers_have_their_turns_in_order(store: Store) -> None:
    slow, order = Dawdler(), list[int]()

    def note(_: Connection, number: int) -> None:
        order.append(number)

    first = asyncio.create_task(store.write(slow))
    await slow.started()
    others = [asyncio.create_task(store.write(note, number)) for number in range(20)]
    await begun(*others)
    slow.finish.set()
    await asyncio.gather(first, *others)
    assert order == list(range(20))


@pytest.mark.usefixtures("impatient")
async def test_writers_queue_for_a_bounded_time(path: Path) -> None:
    store, slow = await Store.open(path), Dawdler()
    first = asyncio.create_task(store.write(slow))
    await slow.started()
    with pytest.raises(LedgerUnavailable, match=re.escape("busy for 0.2 seconds")):
        await store.write(spend("2026-01"))
    slow.finish.set()
    await first  # what has begun may take longer
    assert await store.write(version_of) == len(MIGRATIONS)
    assert await store.read(spent) == []
    await store.close()


@pytest.mark.usefixtures("impatient")
async def test_readers_queue_for_a_bounded_time(path: Path) -> None:
    store, slow = await Store.open(path), [Dawdler() for _ in range(3)]
    first = [asyncio.create_task(store.read(work)) for work in slow]
    for work in slow:
        await work.started()
    with pytest.raises(LedgerUnavailable, match=re.escape("busy for 0.2 seconds")):
        await store.read(version_of)
    assert await store.write(version_of) == len(MIGRATIONS)
    for work in slow:
        work.finish.set()
    await asyncio.gather(*first)
    assert await store.read(version_of) == len(MIGRATIONS)
    await store.close()


async def test_who_is_cancelled_while_it_waits_for_its_turn_writes_nothing(store: Store) -> None:
    slow = Dawdler(spend("2026-01"))
    first = asyncio.create_task(store.write(slow))
    await slow.started()
    second, third = (asyncio.create_task(store.write(spend(month))) for month in ("2026-02", "2026-03"))
    await begun(second, third)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    slow.finish.set()
    await asyncio.gather(first, third)
    assert await store.read(spent) == ["2026-01", "2026-03"]


async def test_a_write_that_has_begun_ends_without_its_caller(store: Store) -> None:
    slow = Dawdler(spend("2026-01"))
    call = asyncio.create_task(store.write(slow))
    await slow.started()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    slow.finish.set()
    await store.write(spend("2026-02"))
    assert await store.read(spent) == ["2026-01", "2026-02"]


async def test_a_write_that_fails_without_its_caller_lets_go_of_the_file(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: Connection) -> None:
        raise LookupError

    slow = Dawdler(fail)
    call = asyncio.create_task(store.write(slow))
    await slow.started()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    slow.finish.set()
    await store.write(spend("2026-01"))
    assert await store.read(spent) == ["2026-01"]
    assert caplog.text == ""


async def test_a_read_whose_caller_is_cancelled_gives_its_connection_back(store: Store) -> None:
    slow = [Dawdler() for _ in range(3)]
    calls = [asyncio.create_task(store.read(work)) for work in slow]
    for work, call in zip(slow, calls, strict=True):
        await work.started()
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    for work in slow:
        work.finish.set()
    versions = await asyncio.gather(*(store.read(version_of) for _ in range(9)))
    assert versions == [len(MIGRATIONS)] * 9


async def test_readers_do_not_wait_for_a_writer_whom_another_process_holds_up(store: Store, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        writes = [asyncio.create_task(store.write(spend(f"2026-0{month}"))) for month in range(1, 5)]
        await begun(*writes)
        assert await asyncio.gather(*(store.read(spent) for _ in range(20))) == [[]] * 20
        await begun(*writes)
        other.execute("ROLLBACK")
    await asyncio.gather(*writes)
    assert len(await store.read(spent)) == 4


async def test_no_thread_and_no_connection_outlives_the_store(path: Path, threads: Callable[[], set[str]]) -> None:
    store = await Store.open(path)
    await asyncio.gather(*(call(version_of) for call in (store.read, store.write) for _ in range(20)))
    assert len(threads()) in range(2, 5)  # one writes, and up to three read
    await store.close()
    assert threads() == set()
    assert files_beside(path) == {"ledger.db"}


async def test_no_thread_outlives_a_store_that_could_not_be_opened(path: Path, threads: Callable[[], set[str]]) -> None:
    with closing(path.open("wb", buffering=0)) as file:
        file.write(b"notes about water turbines\n" * 100)
    with pytest.raises(LedgerUnavailable, match="not a database"):
        await Store.open(path)
    assert threads() == set()


async def test_close_waits_for_all_that_was_called(path: Path, threads: Callable[[], set[str]]) -> None:
    store = await Store.open(path)
    slow_write, slow_read = Dawdler(spend("2026-01")), Dawdler()
    calls = [asyncio.create_task(call) for call in (store.write(slow_write), store.read(slow_read))]
    await slow_write.started()
    await slow_read.started()
    calls.append(asyncio.create_task(store.write(spend("2026-02"))))
    await begun(*calls)
    closings = [asyncio.create_task(store.close()) for _ in range(2)]
    await begun(*calls, *closings)
    with pytest.raises(LedgerUnavailable, match="closed"):
        await store.write(spend("2026-03"))
    slow_write.finish.set()
    await asyncio.gather(calls[0], calls[2])
    early, _ = await asyncio.wait(closings, timeout=0.1)
    assert not early
    slow_read.finish.set()
    await asyncio.gather(*calls, *closings)
    assert threads() == set()
    assert files_beside(path) == {"ledger.db"}
    assert spent_in(path) == ["2026-01", "2026-02"]


async def test_a_close_that_is_cancelled_goes_on(path: Path, threads: Callable[[], set[str]]) -> None:
    store, slow = await Store.open(path), Dawdler(spend("2026-01"))
    call = asyncio.create_task(store.write(slow))
    await slow.started()
    closing_it = asyncio.create_task(store.close())
    await begun(closing_it)
    closing_it.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing_it
    slow.finish.set()
    async with asyncio.timeout(ENOUGH):
        while threads():
            await asyncio.sleep(0.001)
    await call
    await store.close()
    assert spent_in(path) == ["2026-01"]


def test_a_store_that_nobody_closes_does_not_keep_the_interpreter(path: Path) -> None:
    command = [sys.executable, "-c", UNCLOSED, str(path)]
    used = subprocess.run(command, capture_output=True, text=True, timeout=ENOUGH, check=True)
    assert (used.stdout, used.stderr) == ("used\n", "")
    assert spent_in(path) == []
