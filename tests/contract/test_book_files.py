"""Files in the book."""

from dataclasses import replace

import pytest

from penstock.batches import Book
from penstock.batches.records import File, FileState, Purpose
from tests.contract.books import DAY, batch_of, file_of
from tests.contract.samples import NOW

pytestmark = pytest.mark.anyio


async def added_files(book: Book, *files: File) -> list[File]:
    for file in files:
        assert await book.add_file(file)
    return list(files)


async def test_a_file_is_there_as_it_was_added(book: Book) -> None:
    (plain,) = await added_files(book, file_of())
    (full,) = await added_files(
        book, replace(file_of(1), expires_at=NOW + DAY, state=FileState.PENDING, filename="ä☃𝄞.jsonl")
    )
    assert await book.file("acme", plain.id) == plain
    assert await book.file("acme", full.id) == full


async def test_an_unknown_file_is_none(book: Book) -> None:
    await added_files(book, file_of())
    assert await book.file("acme", file_of(1).id) is None
    assert await book.file("acme", batch_of().id) is None


async def test_a_file_is_its_accounts_alone(book: Book) -> None:
    (file,) = await added_files(book, file_of())
    assert await book.file("other", file.id) is None
    assert await book.files("other") == []
    assert not await book.remove_file("other", file.id)
    assert not await book.change_file(replace(file, account_id="other", filename="mine.jsonl"))
    assert await book.file("acme", file.id) == file


async def test_a_file_that_is_added_again_is_added(book: Book) -> None:
    (file,) = await added_files(book, file_of())
    assert await book.add_file(file)
    assert await book.files("acme") == [file]


async def test_another_file_of_the_same_id_is_not_added(book: Book) -> None:
    (file,) = await added_files(book, file_of())
    assert not await book.add_file(replace(file, filename="another.jsonl"))
    assert await book.file("acme", file.id) == file


async def test_a_file_that_has_changed_is_not_added_again(book: Book) -> None:
    (file,) = await added_files(book, file_of())
    assert await book.change_file(replace(file, size=5))
    assert not await book.add_file(file)
    assert await book.file("acme", file.id) == replace(file, size=5, revision=1)


async def test_files_are_listed_newest_first_or_oldest_first(book: Book) -> None:
    one, two, three = (file_of(number) for number in range(3))
    await added_files(book, two, three, one, file_of(9, account="other"))
    assert await book.files("acme") == [three, two, one]
    assert await book.files("acme", newest_first=False) == [one, two, three]


async def test_files_are_listed_in_pages(book: Book) -> None:
    files = await added_files(book, *(file_of(number) for number in range(5)))
    for newest_first in (True, False):
        found: list[File] = []
        while page := await book.files(
            "acme", after=found[-1].id if found else None, limit=2, newest_first=newest_first
        ):
            assert len(page) <= 2
            found += page
        assert found == sorted(files, key=lambda file: file.id, reverse=newest_first)


async def test_a_page_goes_on_where_a_file_was_removed(book: Book) -> None:
    one, two, three = await added_files(book, *(file_of(number) for number in range(3)))
    assert await book.remove_file("acme", two.id)
    assert await book.files("acme", after=two.id) == [one]
    assert await book.files("acme", after=two.id, newest_first=False) == [three]


async def test_files_of_one_purpose_are_listed_in_pages(book: Book) -> None:
    purposes = (Purpose.BATCH, Purpose.BATCH_OUTPUT, Purpose.BATCH_OUTPUT, Purpose.BATCH, Purpose.BATCH_OUTPUT)
    files = await added_files(book, *(file_of(number, purpose=purpose) for number, purpose in enumerate(purposes)))
    outputs = [files[4], files[2], files[1]]
    assert await book.files("acme", purpose=Purpose.BATCH_OUTPUT) == outputs
    assert await book.files("acme", purpose=Purpose.BATCH_OUTPUT, limit=2) == outputs[:2]
    assert await book.files("acme", purpose=Purpose.BATCH_OUTPUT, after=outputs[1].id, limit=2) == outputs[2:]
    assert await book.files("acme", purpose=Purpose.BATCH, newest_first=False) == [files[0], files[3]]


async def test_a_change_of_a_file_is_stored_over_the_revision_that_was_read(book: Book) -> None:
    (file,) = await added_files(book, replace(file_of(), state=FileState.PENDING, expires_at=NOW))
    assert await book.change_file(replace(file, state=FileState.READY, expires_at=None))
    changed = replace(file, state=FileState.READY, expires_at=None, revision=1)
    assert await book.file("acme", file.id) == changed
    assert await book.files("acme") == [changed]
    assert not await book.change_file(replace(file, size=7))
    assert await book.change_file(replace(changed, size=7))
    assert await book.file("acme", file.id) == replace(changed, size=7, revision=2)


async def test_a_change_of_a_file_that_is_repeated_was_stored(book: Book) -> None:
    (file,) = await added_files(book, file_of())
    for _ in "12":
        assert await book.change_file(replace(file, size=7))
    assert await book.file("acme", file.id) == replace(file, size=7, revision=1)


async def test_a_file_that_is_not_there_is_not_changed(book: Book) -> None:
    assert not await book.change_file(file_of())
    assert await book.file("acme", file_of().id) is None


async def test_a_removed_file_is_gone(book: Book) -> None:
    (file, other) = await added_files(book, file_of(), file_of(1))
    assert await book.remove_file("acme", file.id)
    assert not await book.remove_file("acme", file.id)
    assert await book.file("acme", file.id) is None
    assert await book.files("acme") == [other]
    assert not await book.change_file(file)
