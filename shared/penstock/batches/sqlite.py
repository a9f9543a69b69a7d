"""`SqliteBook`: the book in the ledger's SQLite file. `penstock.batches.protocol` says what each method promises.

It has connections of its own to the file, whose schema is the ledger's (`penstock.ledger.sqlite.migrations`): a
process that has both open is to the file as two.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, select, update
from sqlalchemy.dialects.sqlite import insert

from penstock.batches.protocol import Book
from penstock.batches.records import Batch, File, Purpose, Shard
from penstock.batches.text import Record, batch_of, file_of, shard_of, text_of
from penstock.ledger.sqlite import tables
from penstock.ledger.sqlite.store import Store

Columns = dict[str, Any]


class SqliteBook(Book):
    """The book in one SQLite file, for any number of processes on one machine. Used from one event loop."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @classmethod
    async def open(cls, path: str | Path) -> Self:
        """Open the file at `path`, made or migrated where needed.

        Raises LedgerUnavailable where it cannot be opened, is not a ledger, or is newer than this program.
        """
        return cls(await Store.open(Path(path)))

    async def add_file(self, file: File) -> bool:
        return await self._store.write(_add, tables.files, _file(file), file, {"purpose": file.purpose})

    async def file(self, account_id: str, file_id: str) -> File | None:
        text = await self._store.read(_text, tables.files, {"id": file_id, "account_id": account_id})
        return None if text is None else file_of(text)

    async def files(
        self,
        account_id: str,
        *,
        purpose: Purpose | None = None,
        after: str | None = None,
        limit: int = 100,
        newest_first: bool = True,
    ) -> Sequence[File]:
        of = {"account_id": account_id} | ({} if purpose is None else {"purpose": purpose})
        return [file_of(text) for text in await self._page(tables.files, of, after, limit, newest_first=newest_first)]

    async def change_file(self, file: File) -> bool:
        return await self._store.write(_change, tables.files, _file(file), file, {"purpose": file.purpose})

    async def remove_file(self, account_id: str, file_id: str) -> bool:
        return await self._store.write(_remove, tables.files, {"id": file_id, "account_id": account_id})

    async def add_batch(self, batch: Batch) -> bool:
        return await self._store.write(_add, tables.batches, _batch(batch), batch, {"closed": batch.closed})

    async def batch(self, batch_id: str) -> Batch | None:
        text = await self._store.read(_text, tables.batches, {"id": batch_id})
        return None if text is None else batch_of(text)

    async def batches(self, account_id: str, *, after: str | None = None, limit: int = 100) -> Sequence[Batch]:
        of = {"account_id": account_id}
        return [batch_of(text) for text in await self._page(tables.batches, of, after, limit, newest_first=True)]

    async def change_batch(self, batch: Batch) -> bool:
        return await self._store.write(_change, tables.batches, _batch(batch), batch, {"closed": batch.closed})

    async def open_batches(self, *, limit: int = 1_000) -> Sequence[str]:
        return await self._store.read(_open_batches, limit)

    async def add_shards(self, shards: Sequence[Shard]) -> None:
        await self._store.write(_add_shards, shards)

    async def shards(self, batch_id: str) -> Sequence[Shard]:
        return [shard_of(text) for text in await self._store.read(_shards_of, batch_id)]

    async def shard(self, batch_id: str, number: int) -> Shard | None:
        text = await self._store.read(_text, tables.shards, {"batch_id": batch_id, "number": number})
        return None if text is None else shard_of(text)

    async def change_shard(self, shard: Shard) -> bool:
        return await self._store.write(_change, tables.shards, _shard(shard), shard, {})

    async def remove_shards(self, batch_id: str) -> None:
        await self._store.write(_remove, tables.shards, {"batch_id": batch_id})

    async def close(self) -> None:
        await self._store.close()

    async def _page(
        self, table: Table, of: Columns, after: str | None, limit: int, *, newest_first: bool
    ) -> Sequence[str]:
        return await self._store.read(_texts, table, of, after, limit, newest_first=newest_first)


def _file(file: File) -> Columns:
    return {"id": file.id, "account_id": file.account_id}


def _batch(batch: Batch) -> Columns:
    return {"id": batch.id, "account_id": batch.account_id}


def _shard(shard: Shard) -> Columns:
    return {"batch_id": shard.batch_id, "number": shard.number}


def _where(table: Table, columns: Columns) -> ColumnElement[bool]:
    return and_(*(table.c[name] == value for name, value in columns.items()))


def _add(db: Connection, table: Table, key: Columns, record: Record, beside: Columns) -> bool:
    """Add the record, unless there is one; whether it is there, as given."""
    text = text_of(record)
    row = key | beside | {"revision": record.revision, "record": text}
    added = db.execute(insert(table).values(row).on_conflict_do_nothing())
    return added.rowcount == 1 or _text(db, table, key) == text


def _change(db: Connection, table: Table, key: Columns, record: Record, beside: Columns) -> bool:
    """Store it over that of the same revision; whether it is there, one revision later, as given."""
    changed = replace(record, revision=record.revision + 1)
    text = text_of(changed)
    row = beside | {"revision": changed.revision, "record": text}
    of_revision = _where(table, key | {"revision": record.revision})
    stored = db.execute(update(table).where(of_revision).values(row))
    return stored.rowcount == 1 or _text(db, table, key) == text


def _remove(db: Connection, table: Table, of: Columns) -> bool:
    """Forget the records that these columns are of; whether there was one."""
    return db.execute(delete(table).where(_where(table, of))).rowcount > 0


def _text(db: Connection, table: Table, key: Columns) -> str | None:
    """A record's text."""
    return db.execute(select(table.c.record).where(_where(table, key))).scalar()


def _texts(
    db: Connection, table: Table, of: Columns, after: str | None, limit: int, *, newest_first: bool
) -> Sequence[str]:
    """The texts of those that these columns are of, in order of their ids, from the one after `after`."""
    query = select(table.c.record).where(_where(table, of)).limit(limit)
    if after is not None:
        query = query.where(table.c.id < after if newest_first else table.c.id > after)
    return db.execute(query.order_by(table.c.id.desc() if newest_first else table.c.id)).scalars().all()


def _open_batches(db: Connection, limit: int) -> Sequence[str]:
    columns = tables.batches.c
    return db.execute(select(columns.id).where(~columns.closed).order_by(columns.id).limit(limit)).scalars().all()


def _add_shards(db: Connection, shards: Sequence[Shard]) -> None:
    for shard in shards:
        _add(db, tables.shards, _shard(shard), shard, {})


def _shards_of(db: Connection, batch_id: str) -> Sequence[str]:
    columns = tables.shards.c
    return (
        db.execute(select(columns.record).where(columns.batch_id == batch_id).order_by(columns.number)).scalars().all()
    )
