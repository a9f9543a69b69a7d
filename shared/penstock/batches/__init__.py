"""Files and batches: what they are, where they are kept, and how far each has come.

A file is an object with a record of its own; a batch turns one file of requests into two of answers. What happens
to them is `functions.batch`'s business; who may see them, the edge's.

`open_book` opens their book, which is kept in the ledger's store; only that store's library is imported.
"""

from penstock.batches.protocol import Book
from penstock.ledger import check_url

__all__ = ["Book", "open_book"]


async def open_book(url: str) -> Book:
    """Open the book in the ledger that `url` names: `sqlite:///PATH`, made or migrated where needed.

    Beside it the ledger may be open as well, in this process and others. Raises ValueError for a URL that names no
    ledger, LedgerUnavailable where the store cannot be opened.
    """
    scheme, _, rest = check_url(url).partition("://")
    if scheme == "dynamodb":
        from penstock.batches.dynamodb import DynamoBook  # noqa: PLC0415

        return await DynamoBook.open(rest)
    from penstock.batches.sqlite import SqliteBook  # noqa: PLC0415

    return await SqliteBook.open(rest.removeprefix("/"))
