"""What the contract does not see of the book's items: when they end by TTL, and how large they get."""

import json
from dataclasses import replace
from typing import Any

import pytest

from penstock.batches import Book
from penstock.batches.records import MOST_ERRORS, InputError
from penstock.clock import SECOND
from penstock.ledger.dynamodb.keys import ItemKey, batch_key, file_key, listed_batch, open_batch, shard_key
from penstock.ledger.dynamodb.schema import EXPIRES
from penstock.ledger.dynamodb.table import Table
from penstock.ledger.dynamodb.values import item_to_wire
from tests.contract.books import DAY, batch_of, file_of, finished, full, shards_of
from tests.contract.samples import NOW

pytestmark = pytest.mark.anyio

KEPT = 90 * DAY  # seconds


async def end(table: Table, key: ItemKey) -> Any:
    """When the item ends, in seconds since the epoch; None: never."""
    item = await table.get(key)
    assert item is not None
    return item.get(EXPIRES)


async def test_a_file_ends_when_it_expires(book: Book, table: Table) -> None:
    file = replace(file_of(), expires_at=NOW)
    key = file_key(file.account_id, file.id)
    await book.add_file(file)
    assert await end(table, key) == NOW // SECOND + 1
    await book.change_file(replace(file, expires_at=None))
    assert await end(table, key) is None
    await book.change_file(replace(file, revision=1, expires_at=NOW + SECOND))
    assert await end(table, key) == NOW // SECOND + 2


async def test_a_batch_and_its_entry_end_some_time_after_it_is_closed(book: Book, table: Table) -> None:
    batch = batch_of()
    keys = (batch_key(batch.id), listed_batch("acme", batch.id))
    await book.add_batch(batch)
    await book.change_batch(replace(full(batch), told=False))
    assert [await end(table, key) for key in keys] == [None, None]
    await book.change_batch(full(replace(batch, revision=1)))
    assert [await end(table, key) for key in keys] == [NOW // SECOND + KEPT + 1] * 2
    assert await table.get(open_batch(batch.id)) is None


async def test_a_shard_that_was_left_ends_some_time_after_it_was_done(book: Book, table: Table) -> None:
    shards = shards_of(batch_of(), 2)
    await book.add_shards(shards)
    assert await book.change_shard(finished(shards[0]))
    keys = [shard_key(shard.batch_id, shard.number) for shard in shards]
    assert [await end(table, key) for key in keys] == [NOW // SECOND + KEPT + 1, None]


async def test_a_batch_with_all_that_can_be_told_of_it_is_far_smaller_than_an_item_may_be(
    book: Book, table: Table
) -> None:
    error = InputError("invalid_request", "ü" * 5_000, 10**9, "ü" * 5_000)
    metadata = {f"{number:02}" + "ü" * 62: "ü" * 512 for number in range(16)}
    batch = replace(batch_of(), errors=(error,) * MOST_ERRORS, metadata=metadata)
    assert await book.add_batch(batch)
    item = await table.get(batch_key(batch.id))
    assert item is not None
    assert len(json.dumps(item_to_wire(item), ensure_ascii=False).encode()) < 150_000
