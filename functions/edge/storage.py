"""Where files and batches are: their book, and the objects that hold what is in them. Each is opened on first use.

A deployment without PENSTOCK_OBJECTS_URL has neither. Files whose time is over are removed when their account's are
counted; a bucket and a table in AWS see to that by themselves, too. What becomes of batches is for `functions.batch`:
the edge writes them down, pokes it, and shows how far they have come.
"""

import asyncio
from collections.abc import Sequence

from functions.edge.lookups import Lookups
from penstock.batches import Book, open_book
from penstock.batches.records import Batch, File
from penstock.clock import now_ms
from penstock.errors import BadRequest, NotFound
from penstock.objects import Objects, open_objects
from penstock.settings import EdgeSettings

MAX_FILES = 10_000  # of an account; what is counted is a minute old at most
RECENT = 200  # batches of an account that are looked at
COUNTED_FOR = 60  # seconds
REMOVED_AT_ONCE = 100  # files whose time is over
ACCOUNTS = 1_000  # whose files are counted


class Storage:
    """The book and the objects. Every method that opens one raises NotFound where the deployment has none."""

    def __init__(self, settings: EdgeSettings) -> None:
        self._book_url = settings.book_url or settings.ledger_url
        self._objects_url = settings.objects_url
        self._counts: Lookups[int] = Lookups(self._count, keep_s=COUNTED_FOR, most=ACCOUNTS)
        self._opening = asyncio.Lock()
        self._book: Book | None = None
        self._objects: Objects | None = None

    async def book(self) -> Book:
        """The book, opened once. Raises LedgerUnavailable."""
        self._require_configured()
        async with self._opening:
            if self._book is None:
                self._book = await open_book(self._book_url)
            return self._book

    async def objects(self) -> Objects:
        """The objects, opened once. Raises ObjectsUnavailable."""
        url = self._require_configured()
        async with self._opening:
            if self._objects is None:
                self._objects = await open_objects(url)
            return self._objects

    async def require_room(self, account_id: str) -> None:
        """Raises BadRequest where the account has as many files as it may have."""
        if await self._counts.get(account_id) >= MAX_FILES:
            message = f"The account has {MAX_FILES:,} files, and may have no more. Delete some, or let them expire."
            raise BadRequest(message, code="too_many_files")

    async def remove(self, files: Sequence[File]) -> None:
        """Remove files: their contents first, since what has no record would be found by nobody."""
        if files:
            await (await self.objects()).delete([file.address for file in files])
        for file in files:
            await (await self.book()).remove_file(file.account_id, file.id)
            self._counts.forget(file.account_id)

    async def recent(self, account_id: str) -> Sequence[Batch]:
        """The account's newest batches, RECENT at most."""
        return await (await self.book()).batches(account_id, limit=RECENT)

    async def renew(self) -> None:
        """Let go of connections to the objects, which may have been closed while the process stood still."""
        objects, self._objects = self._objects, None
        if objects is not None:
            await objects.close()

    async def close(self) -> None:
        """Let go of all connections."""
        await self.renew()
        book, self._book = self._book, None
        if book is not None:
            await book.close()

    def _require_configured(self) -> str:
        if self._objects_url is None:
            raise NotFound("This deployment has no files and no batches.", code="files_not_configured")
        return self._objects_url

    async def _count(self, account_id: str) -> int:
        files, now = await (await self.book()).files(account_id, limit=MAX_FILES), now_ms()
        over = [file for file in files if file.over(now)]
        await self.remove(over[-REMOVED_AT_ONCE:])
        return len(files) - len(over)
