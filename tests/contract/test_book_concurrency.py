"""Many change the same records at once: of those who read the same, one changes it."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from penstock.batches import Book, open_book
from penstock.batches.records import Batch, Hold
from tests.contract.books import batch_of, file_of, full, shards_of
from tests.contract.samples import NOW

pytestmark = pytest.mark.anyio

BATCH = batch_of()


def held(batch: Batch, holder: int) -> Batch:
    return replace(batch, hold=Hold(f"holder {holder}", NOW))


async def test_of_20_who_hold_a_batch_at_once_one_holds_it(book: Book) -> None:
    await book.add_batch(BATCH)
    stored = await asyncio.gather(*(book.change_batch(held(BATCH, number)) for number in range(20)))
    assert Counter(stored) == {True: 1, False: 19}
    assert await book.batch(BATCH.id) == replace(held(BATCH, stored.index(True)), revision=1)


async def test_of_20_who_close_a_batch_differently_one_closes_it(book: Book) -> None:
    await book.add_batch(BATCH)
    closings = [replace(full(BATCH), failed=number) for number in range(20)]
    stored = await asyncio.gather(*map(book.change_batch, closings))
    assert Counter(stored) == {True: 1, False: 19}
    assert await book.batch(BATCH.id) == replace(closings[stored.index(True)], revision=1)
    assert await book.open_batches() == []


async def test_of_20_who_change_a_shard_at_once_one_changes_it(book: Book) -> None:
    (shard,) = shards_of(BATCH, 1)
    await book.add_shards([shard])
    changes = [replace(shard, call=f"call {number}") for number in range(20)]
    stored = await asyncio.gather(*map(book.change_shard, changes))
    assert Counter(stored) == {True: 1, False: 19}
    assert await book.shard(BATCH.id, 0) == replace(changes[stored.index(True)], revision=1)


async def test_of_20_who_add_files_of_one_id_one_adds_it(book: Book) -> None:
    files = [replace(file_of(), filename=f"{number}.jsonl") for number in range(20)]
    stored = await asyncio.gather(*map(book.add_file, files))
    assert Counter(stored) == {True: 1, False: 19}
    assert await book.files("acme") == [files[stored.index(True)]]


async def test_a_batch_that_20_add_at_once_is_one_and_added_for_each(book: Book) -> None:
    """As the storage may tell of one object several times."""
    assert all(await asyncio.gather(*(book.add_batch(BATCH) for _ in range(20))))
    assert await book.batches("acme") == [BATCH]
    assert await book.open_batches() == [BATCH.id]


async def test_shards_that_several_add_at_once_are_there_once(book: Book) -> None:
    shards = shards_of(BATCH, 20)
    await asyncio.gather(*(book.add_shards(shards[number:] + shards[:number]) for number in range(4)))
    assert await book.shards(BATCH.id) == shards


async def test_every_change_of_several_who_try_again_is_in_the_record(ledger_url: str) -> None:
    """Each with the store opened for itself, as different processes have it."""
    books = [await open_book(ledger_url) for _ in range(3)]
    await books[0].add_batch(BATCH)

    async def count(book: Book) -> None:
        for _ in range(8):
            await _until_stored(book, lambda batch: replace(batch, completed=batch.completed + 1))

    await asyncio.gather(*(count(book) for book in books for _ in "12"))
    found = await books[0].batch(BATCH.id)
    assert found == replace(BATCH, completed=48, revision=2 * 48)
    for book in books:
        await book.close()


async def _until_stored(book: Book, change: Callable[[Batch], Batch]) -> None:
    """Change the batch. So that no two changes are the same, each is made by a holder of its own."""
    holder = Hold(f"task {id(asyncio.current_task())}", NOW)
    while True:
        batch = await book.batch(BATCH.id)
        assert batch is not None
        taken = replace(batch, hold=holder)
        if batch.hold is None and await book.change_batch(taken):
            assert await book.change_batch(replace(change(taken), hold=None, revision=taken.revision + 1))
            return
