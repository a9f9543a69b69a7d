"""`DynamoBook`: the book in the ledger's table. `penstock.batches.protocol` says what each method promises.

`penstock.ledger.dynamodb.keys` says where each item is. A batch is one item; beside it are an entry in the list of
its account's and, as long as it is not closed, one in the list of the open ones, which change with it in one
transaction. A record's text is one attribute, its revision another, which the conditions of changes look at.

Whether the table is ours, and of a version that this program knows, is for the ledger to find out, which is opened
before the book: opening the book sends nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Self, TypeVar

from penstock.batches.protocol import Book
from penstock.batches.records import Batch, File, Purpose, Shard, ShardState
from penstock.batches.text import Record, batch_of, file_of, shard_of, text_of
from penstock.clock import SECOND
from penstock.ledger.dynamodb.expression import Update
from penstock.ledger.dynamodb.keys import (
    OPEN_BATCHES,
    PARTITION,
    SORT,
    ItemKey,
    batch_key,
    batches_of,
    file_key,
    files_of,
    listed_batch,
    open_batch,
    shard_key,
    shards_of,
)
from penstock.ledger.dynamodb.patience import bounded
from penstock.ledger.dynamodb.schema import EXPIRES
from penstock.ledger.dynamodb.table import ConditionFailed, Deletion, Table
from penstock.ledger.dynamodb.values import Item

R = TypeVar("R", bound=Record)
T = TypeVar("T")

_KEPT = 90 * 24 * 3_600 * SECOND  # that a record stays after the end of its batch
_AT_ONCE = 16  # requests of one call


class DynamoBook(Book):
    """The book in one table of DynamoDB, for any number of processes. Used from one event loop."""

    def __init__(self, table: Table) -> None:
        self._table = table

    @classmethod
    async def open(cls, name: str) -> Self:
        """Open the book in the table of that name. Raises LedgerUnavailable where the configuration is wrong."""
        return cls(await Table.connect(name))

    # -- files ------------------------------------------------------------------------------------

    @bounded
    async def add_file(self, file: File) -> bool:
        item: Item = {
            **file_key(file.account_id, file.id),
            **_attributes(file),
            "purpose": str(file.purpose),
            **_ends(file.expires_at),
        }
        return await _stored(self._table.put(item), file)

    @bounded
    async def file(self, account_id: str, file_id: str) -> File | None:
        item = await self._table.get(file_key(account_id, file_id))
        return None if item is None else file_of(item["record"])

    @bounded
    async def files(
        self,
        account_id: str,
        *,
        purpose: Purpose | None = None,
        after: str | None = None,
        limit: int = 100,
        newest_first: bool = True,
    ) -> Sequence[File]:
        only = None if purpose is None else ("purpose", str(purpose))
        items = await self._table.page(
            files_of(account_id), after=after, limit=limit, newest_first=newest_first, only=only
        )
        return [file_of(item["record"]) for item in items]

    @bounded
    async def change_file(self, file: File) -> bool:
        changed = _next(file)
        update = _change(Update(file_key(file.account_id, file.id)), changed).set(purpose=str(file.purpose))
        ends = _ends(file.expires_at)
        update.set(**ends) if ends else update.remove((EXPIRES,))
        return await _stored(self._table.update(update), changed)

    @bounded
    async def remove_file(self, account_id: str, file_id: str) -> bool:
        return await self._remove(file_key(account_id, file_id))

    # -- batches ----------------------------------------------------------------------------------

    @bounded
    async def add_batch(self, batch: Batch) -> bool:
        ends = _ends(_end_of_batch(batch))
        item = {**batch_key(batch.id), **_attributes(batch), **ends}
        listed = {**listed_batch(batch.account_id, batch.id), **ends}
        opened = () if batch.closed else (open_batch(batch.id),)
        return await _stored(self._table.transact(item, listed, *opened), batch)

    @bounded
    async def batch(self, batch_id: str) -> Batch | None:
        item = await self._table.get(batch_key(batch_id))
        return None if item is None else batch_of(item["record"])

    @bounded
    async def batches(self, account_id: str, *, after: str | None = None, limit: int = 100) -> Sequence[Batch]:
        listed = await self._table.page(batches_of(account_id), after=after, limit=limit, newest_first=True)
        items = await self._table.get_all([batch_key(entry[SORT]) for entry in listed])
        return sorted((batch_of(item["record"]) for item in items), key=lambda batch: batch.id, reverse=True)

    @bounded
    async def change_batch(self, batch: Batch) -> bool:
        changed = _next(batch)
        update = _change(Update(batch_key(batch.id)), changed)
        if not batch.closed:
            return await _stored(self._table.update(update), changed)
        ends = _ends(_end_of_batch(batch))
        listed = Update(listed_batch(batch.account_id, batch.id)).set(**ends)
        closing = self._table.transact(update.set(**ends), listed, Deletion(open_batch(batch.id)))
        return await _stored(closing, changed)

    @bounded
    async def open_batches(self, *, limit: int = 1_000) -> Sequence[str]:
        return [entry[SORT] for entry in await self._table.page(OPEN_BATCHES, limit=limit)]

    # -- shards -----------------------------------------------------------------------------------

    async def add_shards(self, shards: Sequence[Shard]) -> None:
        await _each(self._add_shard, shards)

    async def shards(self, batch_id: str) -> Sequence[Shard]:
        return [shard_of(item["record"]) for item in await self._table.query(shards_of(batch_id))]

    @bounded
    async def shard(self, batch_id: str, number: int) -> Shard | None:
        item = await self._table.get(shard_key(batch_id, number))
        return None if item is None else shard_of(item["record"])

    @bounded
    async def change_shard(self, shard: Shard) -> bool:
        changed = _next(shard)
        update = _change(Update(shard_key(shard.batch_id, shard.number)), changed)
        return await _stored(self._table.update(update.set(**_ends(_end_of_shard(changed)))), changed)

    async def remove_shards(self, batch_id: str) -> None:
        shards = await self._table.query(shards_of(batch_id))
        await _each(self._remove, [{name: item[name] for name in (PARTITION, SORT)} for item in shards])

    # -- the store --------------------------------------------------------------------------------

    async def close(self) -> None:
        await self._table.close()

    async def _add_shard(self, shard: Shard) -> bool:
        item = {**shard_key(shard.batch_id, shard.number), **_attributes(shard), **_ends(_end_of_shard(shard))}
        return await _stored(self._table.put(item), shard)

    async def _remove(self, key: ItemKey) -> bool:
        try:
            await self._table.delete(key)
        except ConditionFailed:
            return False
        return True


def _attributes(record: Record) -> Item:
    return {"record": text_of(record), "revision": record.revision}


def _next(record: R) -> R:
    return replace(record, revision=record.revision + 1)


def _change(update: Update, changed: Record) -> Update:
    """The record as it is to be, over that of the revision before."""
    return update.set(**_attributes(changed)).where(update.equals("revision", to=changed.revision - 1))


async def _stored(write: Awaitable[object], record: Record) -> bool:
    """Whether the record is there, as given, by this write or an earlier one."""
    try:
        await write
    except ConditionFailed as failed:
        return failed.item is not None and failed.item["record"] == text_of(record)
    return True


async def _each(act: Callable[[T], Awaitable[object]], things: Sequence[T]) -> None:
    """Do it with each, some at a time. What was begun has ended before an error is raised."""
    for begin in range(0, len(things), _AT_ONCE):
        outcomes = await asyncio.gather(*map(act, things[begin : begin + _AT_ONCE]), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome


def _ends(at: int | None) -> Item:
    """The attribute by which DynamoDB deletes an item after that time, in milliseconds."""
    return {} if at is None else {EXPIRES: at // SECOND + 1}


def _end_of_batch(batch: Batch) -> int | None:
    return (batch.ended_at or batch.expires_at) + _KEPT if batch.closed else None


def _end_of_shard(shard: Shard) -> int | None:
    """Shards are removed with their batch's work; this is for what was left by accident."""
    return shard.since + _KEPT if shard.state is ShardState.DONE and shard.since else None
