"""The SQLite file: how it is opened, who may read it, and what is said when it cannot be had."""

import asyncio
import logging
import re
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from penstock.ledger import Idempotency, Ledger, LedgerUnavailable, StoredAnswer, open_ledger
from penstock.ledger.sqlite import SqliteLedger
from penstock.ledger.sqlite import store as store_module
from penstock.ledger.sqlite.migrations import version_of
from penstock.ledger.sqlite.store import Store
from tests.contract.samples import NOW, enrol, lease_of, reserved

pytestmark = pytest.mark.anyio

NOTES = b"notes about water turbines\n" * 100


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
async def ledger(anyio_backend: str, path: Path) -> AsyncIterator[Ledger]:
    opened = await SqliteLedger.open(path)
    yield opened
    await opened.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "PATIENCE", 0.2)


def contents(path: Path) -> bytes:
    return path.read_bytes()


async def test_only_its_owner_can_read_the_file_and_its_log(ledger: Ledger, path: Path) -> None:
    await enrol(ledger)
    files = list(path.parent.iterdir())
    assert {file.name for file in files} == {"ledger.db", "ledger.db-wal", "ledger.db-shm"}
    assert {oct(file.stat().st_mode & 0o777) for file in files} == {"0o600"}


async def test_a_second_store_of_a_file_takes_no_lock_from_the_first(ledger: Ledger, path: Path) -> None:
    """Its opening closed the file once, and with that the locks of the process were gone: the next process that ended
    took the log away from under the first store, whose reads then failed with a disk I/O error."""
    await enrol(ledger)
    second = await SqliteLedger.open(path)
    look = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.execute('SELECT * FROM accounts'); db.close()"
    await asyncio.to_thread(subprocess.run, [sys.executable, "-c", look, str(path)], check=True)
    assert path.with_name("ledger.db-wal").exists()
    assert len(await ledger.accounts()) == 1
    await second.close()


async def test_a_url_names_a_relative_or_an_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for url, file in (("sqlite:///a b?.db", "a b?.db"), (f"sqlite:///{tmp_path}/c.db", "c.db")):
        await (await open_ledger(url)).close()
        assert (tmp_path / file).exists()


@pytest.mark.parametrize("url", ["", "sqlite:", "sqlite://ledger.db", "postgres:///ledger"])
async def test_other_urls_name_no_ledger(url: str) -> None:
    with pytest.raises(ValueError, match="names no ledger"):
        await open_ledger(url)


async def test_what_was_written_is_there_after_reopening(path: Path) -> None:
    first = await SqliteLedger.open(path)
    caller = await enrol(first)
    await first.close()
    second = await SqliteLedger.open(path)
    assert await second.caller(caller.key.id) == caller
    await second.close()


async def test_every_connection_is_durable_and_checks_foreign_keys(path: Path) -> None:
    store = await Store.open(path)

    def settings(db: Connection) -> list[object]:
        version_of(db)  # a connection learns of the log when it reads
        names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        return [db.execute(text(f"PRAGMA {name}")).scalar_one() for name in names]

    for work in (store.read, store.write):
        assert await work(settings) == ["wal", 2, 1, 10_000]  # 2 is FULL
    await store.close()


async def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    missing = tmp_path / "no" / "ledger.db"
    with pytest.raises(LedgerUnavailable, match=re.escape(f"{missing}: No such file or directory")):
        await SqliteLedger.open(missing)


async def test_a_folder_is_no_ledger(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnavailable, match="Is a directory"):
        await SqliteLedger.open(tmp_path)


async def test_a_file_that_is_no_database_is_said_and_left_alone(path: Path) -> None:
    with closing(path.open("wb", buffering=0)) as file:
        file.write(NOTES)
    with pytest.raises(LedgerUnavailable, match="file is not a database") as caught:
        await SqliteLedger.open(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert contents(path) == NOTES


async def test_another_programs_database_is_said_and_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE songs (name)")
    before = contents(path)
    with pytest.raises(LedgerUnavailable, match="another program"):
        await SqliteLedger.open(path)
    assert contents(path) == before


@pytest.mark.usefixtures("impatient")
async def test_a_file_locked_for_too_long_is_unavailable_and_then_works_again(path: Path) -> None:
    ledger = await SqliteLedger.open(path)
    caller = await enrol(ledger)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerUnavailable, match="locked"):
            await ledger.reserve(caller, lease_of(caller))
        # Reading goes on meanwhile.
        assert await ledger.caller(caller.key.id) == caller
        other.execute("ROLLBACK")
    await reserved(ledger, caller, lease_of(caller))
    await ledger.close()


@pytest.mark.usefixtures("impatient")
async def test_a_file_locked_for_too_long_cannot_be_opened(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LedgerUnavailable, match="locked"):
            await SqliteLedger.open(path)
        other.execute("ROLLBACK")
    await (await SqliteLedger.open(path)).close()


async def test_a_closed_ledger_says_so(path: Path) -> None:
    ledger = await SqliteLedger.open(path)
    await ledger.close()
    await ledger.close()
    with pytest.raises(LedgerUnavailable, match="closed"):
        await ledger.accounts()
    with pytest.raises(LedgerUnavailable, match="closed"):
        await ledger.expire(NOW)


async def test_work_that_fails_leaves_nothing_behind(path: Path) -> None:
    store = await Store.open(path)

    def fail(db: Connection) -> None:
        db.execute(text("INSERT INTO months VALUES ('account:acme', '2026-03', 1, 1)"))
        raise LookupError

    def count(db: Connection) -> int:
        return int(db.execute(text("SELECT count(*) FROM months")).scalar_one())

    with pytest.raises(LookupError):
        await store.write(fail)
    assert await store.read(count) == 0
    await store.close()


async def test_cancelled_calls_leave_the_ledger_working(ledger: Ledger) -> None:
    caller = await enrol(ledger)
    for number in range(40):
        call = asyncio.create_task(ledger.reserve(caller, lease_of(caller, f"req_{number}")))
        await asyncio.sleep(number / 10_000)  # from before its transaction to after it
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
    await reserved(ledger, caller, lease_of(caller, "after"))
    # Whatever was reserved before the cancellation is whole, and can be given back.
    for number in range(40):
        await ledger.release(lease_of(caller, f"req_{number}"), NOW)
    assert list(await ledger.expire(NOW + 10**9)) == ["after"]


async def test_no_digest_name_or_answer_reaches_a_log(ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    key = (await enrol(ledger, name="private")).key
    assert await ledger.caller(key.id) is not None
    answer = StoredAnswer(200, "text/plain", b"a private answer")
    assert await ledger.begin("acme", "key-1", "body", "a", now=NOW, expires_at=NOW + 1) is Idempotency.FRESH
    assert await ledger.remember("acme", "key-1", "a", answer, NOW + 1)
    assert await ledger.begin("acme", "key-1", "body", "b", now=NOW, expires_at=NOW + 1) == answer
    assert "private" not in caplog.text
    assert key.digest not in caplog.text
