"""A batch's shards in the book."""

from dataclasses import replace

import pytest

from penstock.batches import Book
from penstock.batches.records import ShardState
from tests.contract.books import batch_of, finished, shards_of

pytestmark = pytest.mark.anyio

BATCH = batch_of()


async def test_shards_are_there_by_number_as_they_were_added(book: Book) -> None:
    shards = shards_of(BATCH, 12)
    shards[3] = finished(shards[3])
    others = shards_of(batch_of(1), 2)
    await book.add_shards(shards[::-1])
    await book.add_shards(others)
    assert await book.shards(BATCH.id) == shards
    assert await book.shard(BATCH.id, 3) == shards[3]
    assert await book.shard(BATCH.id, 12) is None
    assert await book.shards(others[0].batch_id) == others


async def test_a_batch_without_shards_has_none(book: Book) -> None:
    await book.add_shards([])
    assert await book.shards(BATCH.id) == []
    assert await book.shard(BATCH.id, 0) is None


async def test_shards_that_are_there_stay_as_they_are(book: Book) -> None:
    shards = shards_of(BATCH, 4)
    await book.add_shards(shards[:2])
    assert await book.change_shard(finished(shards[0]))
    await book.add_shards([replace(shard, tokens=7) for shard in shards])
    changed = [replace(finished(shards[0]), revision=1), shards[1], *(replace(one, tokens=7) for one in shards[2:])]
    assert await book.shards(BATCH.id) == changed


async def test_many_shards_are_added_and_removed(book: Book) -> None:
    shards = shards_of(BATCH, 300)
    others = shards_of(batch_of(1), 1)
    await book.add_shards(shards)
    await book.add_shards(others)
    assert await book.shards(BATCH.id) == shards
    await book.remove_shards(BATCH.id)
    assert await book.shards(BATCH.id) == []
    assert await book.shards(others[0].batch_id) == others
    await book.remove_shards(BATCH.id)


async def test_a_change_of_a_shard_is_stored_over_the_revision_that_was_read(book: Book) -> None:
    shard, other = shards_of(BATCH, 2)
    await book.add_shards([shard, other])
    sent = replace(shard, state=ShardState.SENT, since=5, attempt=1)
    assert await book.change_shard(sent)
    assert not await book.change_shard(replace(shard, state=ShardState.RUNNING))
    assert await book.change_shard(replace(sent, state=ShardState.RUNNING, revision=1))
    running = replace(sent, state=ShardState.RUNNING, revision=2)
    assert await book.shards(BATCH.id) == [running, other]
    assert await book.shard(BATCH.id, 0) == running


async def test_a_change_of_a_shard_that_is_repeated_was_stored(book: Book) -> None:
    (shard,) = shards_of(BATCH, 1)
    await book.add_shards([shard])
    for _ in "12":
        assert await book.change_shard(finished(shard))
    assert await book.shard(BATCH.id, 0) == replace(finished(shard), revision=1)


async def test_a_shard_that_is_not_there_is_not_changed(book: Book) -> None:
    (shard,) = shards_of(BATCH, 1)
    assert not await book.change_shard(shard)
    await book.add_shards([shard])
    await book.remove_shards(BATCH.id)
    assert not await book.change_shard(shard)
    assert await book.shards(BATCH.id) == []
