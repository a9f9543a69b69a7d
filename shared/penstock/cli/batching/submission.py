"""A file becomes a batch: its content an object, and both of them records in the run's book."""

import asyncio
from hashlib import sha256
from pathlib import Path

from penstock.batches import Book, addresses
from penstock.batches.records import Batch, File, Purpose, derived_id, new_batch_id, new_file_id
from penstock.clock import SECOND, now_ms
from penstock.ledger import Key
from penstock.objects import Objects

WINDOW_S = 30 * 24 * 3_600  # a machine may be off for days
_PART = 8 << 20  # bytes


async def submit(book: Book, objects: Objects, source: Path, payer: Key) -> Batch:
    """Make a batch of the file, whose lines each say their own endpoint. Its answers are as the API's would be."""
    now, account = now_ms(), payer.account_id
    file_id, batch_id = new_file_id(now), new_batch_id(now)
    address = addresses.file_content(account, file_id)
    await _copy(source, objects, address)
    size = await objects.size(address) or 0
    await book.add_file(File(file_id, account, Purpose.BATCH, source.name[:255], size, address, now))
    batch = Batch(
        id=batch_id,
        account_id=account,
        key_id=payer.id,
        endpoint="",
        input_file_id=file_id,
        input_address=address,
        window_s=WINDOW_S,
        created_at=now,
        expires_at=now + WINDOW_S * SECOND,
        output_address=_result(account, batch_id, now, "output"),
        error_address=_result(account, batch_id, now, "errors"),
    )
    await book.add_batch(batch)
    return batch


def _result(account: str, batch_id: str, now: int, kind: str) -> str:
    return addresses.file_content(account, derived_id("file-", now, sha256(f"{batch_id}/{kind}".encode()).digest()))


async def _copy(source: Path, objects: Objects, address: str) -> None:
    with source.open("rb") as content:
        async with objects.writer(address) as writer:
            while part := await asyncio.to_thread(content.read, _PART):
                await writer.write(part)
