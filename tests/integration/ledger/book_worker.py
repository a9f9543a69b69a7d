"""A process that works on a book: makes batches with shards, closes them, and prints what was acknowledged.

`python -m tests.integration.ledger.book_worker URL COUNT` prints, of each batch by its number, `made`, `begun` and
`closed` after each change, and ends with them.
"""

import asyncio
import sys
from dataclasses import replace

from penstock.batches import Book, open_book
from penstock.batches.records import Status
from tests.contract.books import batch_of, full, shards_of
from tests.integration.ledger.worker import say


async def batch(book: Book, number: int) -> None:
    """One batch, from its making until it is closed."""
    new = batch_of(number)
    _stored(await book.add_batch(new))
    say(f"made {number}")
    await book.add_shards(shards_of(new, 2))
    begun = replace(new, status=Status.IN_PROGRESS, shards=2)
    _stored(await book.change_batch(begun))
    say(f"begun {number}")
    _stored(await book.change_batch(replace(full(begun), revision=1)))
    say(f"closed {number}")


def _stored(stored: bool) -> None:
    if not stored:
        raise RuntimeError("somebody else works on this book")


async def work(url: str, count: int) -> None:
    """So many batches, one after the other."""
    book = await open_book(url)
    try:
        for number in range(count):
            await batch(book, number)
    finally:
        await book.close()


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], int(sys.argv[2])))
