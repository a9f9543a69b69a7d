"""A plain model of a book: what must come out of each call, where one is made after the other."""

from collections.abc import Iterable
from dataclasses import replace
from typing import TypeVar

from penstock.batches.records import Batch, File, Purpose, Shard

R = TypeVar("R", File, Batch, Shard)
K = TypeVar("K")


class BookModel:
    """The records by their ids. The methods are the protocol's."""

    def __init__(self) -> None:
        self.all_files: dict[tuple[str, str], File] = {}
        self.all_batches: dict[str, Batch] = {}
        self.all_shards: dict[tuple[str, int], Shard] = {}

    def add_file(self, file: File) -> bool:
        return self.all_files.setdefault((file.account_id, file.id), file) == file

    def file(self, account_id: str, file_id: str) -> File | None:
        return self.all_files.get((account_id, file_id))

    def files(
        self,
        account_id: str,
        *,
        purpose: Purpose | None = None,
        after: str | None = None,
        limit: int = 100,
        newest_first: bool = True,
    ) -> list[File]:
        of = [file for file in self.all_files.values() if file.account_id == account_id]
        return _page([file for file in of if purpose in (None, file.purpose)], after, limit, newest_first=newest_first)

    def change_file(self, file: File) -> bool:
        return _change(self.all_files, (file.account_id, file.id), file)

    def remove_file(self, account_id: str, file_id: str) -> bool:
        return self.all_files.pop((account_id, file_id), None) is not None

    def add_batch(self, batch: Batch) -> bool:
        return self.all_batches.setdefault(batch.id, batch) == batch

    def batch(self, batch_id: str) -> Batch | None:
        return self.all_batches.get(batch_id)

    def batches(self, account_id: str, *, after: str | None = None, limit: int = 100) -> list[Batch]:
        of = [batch for batch in self.all_batches.values() if batch.account_id == account_id]
        return _page(of, after, limit, newest_first=True)

    def change_batch(self, batch: Batch) -> bool:
        return _change(self.all_batches, batch.id, batch)

    def open_batches(self) -> list[str]:
        return sorted(batch.id for batch in self.all_batches.values() if not batch.closed)

    def add_shards(self, shards: Iterable[Shard]) -> None:
        for shard in shards:
            self.all_shards.setdefault((shard.batch_id, shard.number), shard)

    def shards(self, batch_id: str) -> list[Shard]:
        return [shard for key, shard in sorted(self.all_shards.items()) if shard.batch_id == batch_id]

    def shard(self, batch_id: str, number: int) -> Shard | None:
        return self.all_shards.get((batch_id, number))

    def change_shard(self, shard: Shard) -> bool:
        return _change(self.all_shards, (shard.batch_id, shard.number), shard)

    def remove_shards(self, batch_id: str) -> None:
        for shard in self.shards(batch_id):
            del self.all_shards[batch_id, shard.number]


def _change(records: dict[K, R], key: K, record: R) -> bool:
    changed, stored = replace(record, revision=record.revision + 1), records.get(key)
    if stored is not None and stored.revision == record.revision:
        records[key] = changed
    return records.get(key) == changed


P = TypeVar("P", File, Batch)


def _page(records: list[P], after: str | None, limit: int, *, newest_first: bool) -> list[P]:
    ordered = sorted(records, key=lambda record: record.id, reverse=newest_first)
    return [one for one in ordered if after is None or (one.id < after if newest_first else one.id > after)][:limit]
