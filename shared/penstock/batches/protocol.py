"""The book: every file, batch and shard, and how far each has come. Kept beside the ledger, in the same store.

tests/contract holds every implementation to what is said here:

- a change is stored only where the record's revision is still the stored one, and raises it by one; so of two who
  read the same, one changes it;
- a write that was acknowledged survives `kill -9`;
- every method may be called again with the same arguments after a lost answer: a repeated `add_*` or `change_*` whose
  first try was stored is True, not False, as long as nobody has changed the record since. So two who write the very
  same are as one.

A record over `text.MOST` bytes is ValueError, which no bounded metadata and filename can bring about. What is closed
stays so.

Every method raises `LedgerUnavailable` where the store cannot be reached.
"""

from collections.abc import Sequence
from typing import Protocol

from penstock.batches.records import Batch, File, Purpose, Shard


class Book(Protocol):
    """One store of files and batches."""

    # -- files ------------------------------------------------------------------------------------

    async def add_file(self, file: File) -> bool:
        """Add a file; False where there is another of that id, which stays."""

    async def file(self, account_id: str, file_id: str) -> File | None:
        """The account's file of that id."""

    async def files(
        self,
        account_id: str,
        *,
        purpose: Purpose | None = None,
        after: str | None = None,
        limit: int = 100,
        newest_first: bool = True,
    ) -> Sequence[File]:
        """The account's files in order of their making, those that come after the id `after`."""

    async def change_file(self, file: File) -> bool:
        """Store it over that of the same revision; whether it was still there."""

    async def remove_file(self, account_id: str, file_id: str) -> bool:
        """Forget a file; whether there was one."""

    # -- batches ----------------------------------------------------------------------------------

    async def add_batch(self, batch: Batch) -> bool:
        """Add a batch; False where there is another of that id, which stays."""

    async def batch(self, batch_id: str) -> Batch | None:
        """The batch of that id, whosever it is."""

    async def batches(self, account_id: str, *, after: str | None = None, limit: int = 100) -> Sequence[Batch]:
        """The account's batches, newest first, those made before the one of the id `after`."""

    async def change_batch(self, batch: Batch) -> bool:
        """Store it over that of the same revision; whether it was still that."""

    async def open_batches(self, *, limit: int = 1_000) -> Sequence[str]:
        """The ids of batches that are not `closed`, of all accounts, the oldest first."""

    # -- shards -----------------------------------------------------------------------------------

    async def add_shards(self, shards: Sequence[Shard]) -> None:
        """Add the shards of one batch; those that are there already stay as they are."""

    async def shards(self, batch_id: str) -> Sequence[Shard]:
        """All shards of the batch, by number."""

    async def shard(self, batch_id: str, number: int) -> Shard | None:
        """One of them."""

    async def change_shard(self, shard: Shard) -> bool:
        """Store it over that of the same revision; whether it was still that."""

    async def remove_shards(self, batch_id: str) -> None:
        """Forget all shards of the batch."""

    # -- the store --------------------------------------------------------------------------------

    async def close(self) -> None:
        """Let go of connections."""
