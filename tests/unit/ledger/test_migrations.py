"""The schema: made from nothing, brought up to date, refused where it is from the future."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import MetaData, create_engine

from penstock.ledger import Ledger, LedgerUnavailable
from penstock.ledger.sqlite import SqliteLedger, migrations, tables
from penstock.ledger.sqlite import store as store_module
from tests.contract.samples import enrol

pytestmark = pytest.mark.anyio

VERSION = 4
FURTHER = ("ALTER TABLE accounts ADD COLUMN note VARCHAR", "UPDATE accounts SET note = 'from before'")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
async def ledger(anyio_backend: str, path: Path) -> AsyncIterator[Ledger]:
    opened = await SqliteLedger.open(path)
    yield opened
    await opened.close()


def contents(path: Path) -> bytes:
    return path.read_bytes()


def next_program(monkeypatch: pytest.MonkeyPatch, *statements: str) -> None:
    """From here on this is the next version of the program, with one more migration."""
    both = (*migrations.MIGRATIONS, statements)
    for module in (migrations, store_module):
        monkeypatch.setattr(module, "MIGRATIONS", both)


def _columns(metadata: MetaData) -> dict[str, dict[str, tuple[str, bool, bool]]]:
    return {
        name: {column.name: (str(column.type), bool(column.nullable), column.primary_key) for column in table.columns}
        for name, table in metadata.tables.items()
    }


def _indices_and_references(metadata: MetaData) -> dict[str, tuple[set[object], set[str]]]:
    return {
        name: (
            {(index.name, tuple(column.name for column in index.columns)) for index in table.indexes},
            {f"{key.parent.name} -> {key.target_fullname}" for key in table.foreign_keys},
        )
        for name, table in metadata.tables.items()
    }


@pytest.mark.usefixtures("ledger")
async def test_the_migrations_make_the_tables_that_the_queries_name(path: Path) -> None:
    engine = create_engine(f"sqlite:///{path}")
    made = MetaData()
    made.reflect(engine)
    engine.dispose()
    assert _columns(made) == _columns(tables.metadata)
    assert _indices_and_references(made) == _indices_and_references(tables.metadata)


async def test_a_new_ledger_has_the_programs_version(ledger: Ledger) -> None:
    assert await ledger.schema_version() == VERSION == len(migrations.MIGRATIONS)


async def test_an_empty_file_becomes_a_ledger(path: Path) -> None:
    with closing(path.open("wb")):
        pass
    ledger = await SqliteLedger.open(path)
    assert await ledger.schema_version() == VERSION
    await ledger.close()


async def test_an_older_ledger_is_migrated_and_keeps_what_it_holds(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    older = await SqliteLedger.open(path)
    caller = await enrol(older)
    await older.close()
    next_program(monkeypatch, *FURTHER)
    for _ in range(2):  # the second opening has nothing left to do
        newer = await SqliteLedger.open(path)
        assert await newer.schema_version() == VERSION + 1
        assert await newer.caller(caller.key.id) == caller
        await newer.close()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT note FROM accounts").fetchall() == [("from before",)]


async def test_a_migration_that_fails_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    older = await SqliteLedger.open(path)
    caller = await enrol(older)
    await older.close()
    with monkeypatch.context() as patch:
        next_program(patch, *FURTHER, "ALTER TABLE nowhere ADD COLUMN note VARCHAR")
        with pytest.raises(LedgerUnavailable, match="nowhere"):
            await SqliteLedger.open(path)
    again = await SqliteLedger.open(path)
    assert await again.schema_version() == VERSION
    assert await again.caller(caller.key.id) == caller
    await again.close()
    with closing(sqlite3.connect(path)) as db, pytest.raises(sqlite3.OperationalError, match="note"):
        db.execute("SELECT note FROM accounts")


async def test_a_newer_ledger_is_refused_and_left_alone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        next_program(patch, *FURTHER)
        await (await SqliteLedger.open(path)).close()
    before = contents(path)
    with pytest.raises(
        LedgerUnavailable, match=f"version {VERSION + 1} and this program knows up to {VERSION}: update"
    ) as caught:
        await SqliteLedger.open(path)
    assert "\n" not in str(caught.value)
    assert contents(path) == before
