"""Changes of records that others change at the same time: read, changed, and stored where nobody was faster.

A record's own revision decides (see `penstock.batches.protocol`); who comes second reads again.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from penstock.batches.protocol import Book
from penstock.batches.records import Batch, Shard
from penstock.ledger import LedgerUnavailable

TRIES = 30
_PAUSE_S = 0.05  # at most, between two tries


async def change_batch(book: Book, batch_id: str, change: Callable[[Batch], Batch | None]) -> Batch | None:
    """The batch as it is stored after the change; None where it is gone, or `change` wants none (None).

    `change` may be called several times. Raises LedgerUnavailable, also where others are faster time and again.
    """
    for _ in range(TRIES):
        batch = await book.batch(batch_id)
        changed = None if batch is None else change(batch)
        if changed is None:
            return None
        if await book.change_batch(changed):
            return replace(changed, revision=changed.revision + 1)
        await asyncio.sleep(random.uniform(0, _PAUSE_S))
    raise LedgerUnavailable(f"{batch_id} was changed by others {TRIES} times in a row")


async def move(book: Book, shard: Shard, **changes: Any) -> Shard | None:
    """The shard as it is stored after the change; None where another changed it since it was read."""
    moved = replace(shard, **changes)
    return replace(moved, revision=moved.revision + 1) if await book.change_shard(moved) else None
