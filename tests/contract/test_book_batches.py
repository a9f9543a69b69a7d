"""Batches in the book, and which of them are open."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from penstock.batches import Book
from penstock.batches.records import MOST_ERRORS, Batch, InputError, Status
from tests.contract.books import batch_of, file_of, full
from tests.contract.samples import NOW

pytestmark = pytest.mark.anyio


async def added_batches(book: Book, *batches: Batch) -> list[Batch]:
    for batch in batches:
        assert await book.add_batch(batch)
    return list(batches)


async def closed(book: Book, batch: Batch) -> None:
    """Change the batch, of the revision that it has, so that nothing is left to do."""
    assert await book.change_batch(full(batch))


async def test_a_batch_is_there_as_it_was_added(book: Book) -> None:
    plain, whole = await added_batches(book, batch_of(), full(batch_of(1)))
    assert await book.batch(plain.id) == plain
    assert await book.batch(whole.id) == whole


async def test_an_unknown_batch_is_none(book: Book) -> None:
    await added_batches(book, batch_of())
    assert await book.batch(batch_of(1).id) is None
    assert await book.batch(file_of().id) is None


async def test_a_batch_that_is_added_again_is_added(book: Book) -> None:
    (batch,) = await added_batches(book, batch_of())
    assert await book.add_batch(batch)
    assert await book.batches("acme") == [batch]
    assert await book.open_batches() == [batch.id]


async def test_another_batch_of_the_same_id_is_not_added(book: Book) -> None:
    (batch,) = await added_batches(book, batch_of())
    assert not await book.add_batch(replace(batch, window_s=1))
    assert not await book.add_batch(replace(batch, account_id="other"))
    assert await book.batch(batch.id) == batch
    assert await book.batches("other") == []


async def test_a_batch_that_is_closed_is_not_added_again(book: Book) -> None:
    (batch,) = await added_batches(book, batch_of())
    await closed(book, batch)
    assert not await book.add_batch(batch)
    assert await book.open_batches() == []


async def test_batches_are_listed_newest_first_in_pages(book: Book) -> None:
    one, two, three = (batch_of(number) for number in range(3))
    await added_batches(book, two, three, one, batch_of(9, account="other"))
    assert await book.batches("acme") == [three, two, one]
    assert await book.batches("acme", limit=2) == [three, two]
    assert await book.batches("acme", after=two.id, limit=2) == [one]
    assert await book.batches("acme", after=one.id) == []
    assert await book.batches("nobody") == []


async def test_more_batches_are_listed_than_one_request_reads(book: Book) -> None:
    batches = await added_batches(book, *(batch_of(number) for number in range(105)))
    assert await book.batches("acme", limit=1_000) == batches[::-1]
    assert await book.batches("acme", limit=103) == batches[:1:-1]


async def test_a_change_of_a_batch_is_stored_over_the_revision_that_was_read(book: Book) -> None:
    (batch,) = await added_batches(book, batch_of())
    changed = replace(batch, status=Status.IN_PROGRESS, in_progress_at=NOW, lines=3, shards=1)
    assert await book.change_batch(changed)
    assert await book.batch(batch.id) == replace(changed, revision=1)
    assert await book.batches("acme") == [replace(changed, revision=1)]
    assert not await book.change_batch(replace(batch, status=Status.FAILED))
    assert await book.change_batch(replace(changed, revision=1, lines=4))
    assert await book.batch(batch.id) == replace(changed, revision=2, lines=4)


@pytest.mark.parametrize("change", [lambda batch: replace(batch, lines=7), full], ids=["open", "closed"])
async def test_a_change_of_a_batch_that_is_repeated_was_stored(book: Book, change: Callable[[Batch], Batch]) -> None:
    (batch,) = await added_batches(book, batch_of())
    for _ in "12":
        assert await book.change_batch(change(batch))
    assert await book.batch(batch.id) == replace(change(batch), revision=1)
    assert not await book.change_batch(replace(change(batch), failed=99))


async def test_a_batch_that_is_not_there_is_not_changed(book: Book) -> None:
    assert not await book.change_batch(batch_of())
    assert not await book.change_batch(full(batch_of()))
    assert await book.batch(batch_of().id) is None
    assert await book.batches("acme") == []


async def test_open_batches_are_those_of_all_accounts_oldest_first(book: Book) -> None:
    one, two, three = await added_batches(book, batch_of(), batch_of(1, account="other"), batch_of(2))
    assert await book.open_batches() == [one.id, two.id, three.id]
    assert await book.open_batches(limit=2) == [one.id, two.id]
    await closed(book, one)
    assert await book.open_batches() == [two.id, three.id]
    assert await book.batches("acme") == [three, replace(full(one), revision=1)]


@pytest.mark.parametrize("status", list(Status))
async def test_a_batch_is_open_until_its_end_was_told(book: Book, status: Status) -> None:
    (batch,) = await added_batches(book, batch_of())
    assert await book.change_batch(replace(batch, status=status))
    assert await book.open_batches() == [batch.id]
    assert await book.change_batch(replace(batch, status=status, told=True, revision=1))
    assert await book.open_batches() == ([] if status.final else [batch.id])


async def test_a_batch_that_was_added_closed_is_not_open(book: Book) -> None:
    (batch,) = await added_batches(book, full(batch_of()))
    assert await book.open_batches() == []
    assert await book.batches("acme") == [batch]


async def test_a_change_that_is_not_stored_closes_nothing(book: Book) -> None:
    (batch,) = await added_batches(book, batch_of())
    assert await book.change_batch(replace(batch, lines=1))
    assert not await book.change_batch(full(batch))
    assert await book.open_batches() == [batch.id]


async def test_a_batch_with_all_the_errors_there_can_be_is_kept(book: Book) -> None:
    """In characters of which each takes six bytes."""
    error = InputError("c" * 50, "\0" * 5_000, 10**9, "\0" * 5_000)
    metadata = {f"{number:02}" + "\0" * 62: "\0" * 512 for number in range(16)}
    (batch,) = await added_batches(book, replace(batch_of(), errors=(error,) * MOST_ERRORS, metadata=metadata))
    assert await book.batch(batch.id) == batch
