"""A shard is started: a worker is given it, and the book says which call that is.

May be asked several times, and at once: of two calls that were started for one shard, one is written down and the
other cancelled. A crash in between leaves a call of which nobody knows; the shard is then started again, and its log
lets one of the two go on.
"""

from dataclasses import replace

import structlog

from functions.batch.changes import move
from functions.batch.workers import Workers, WorkersUnavailable
from penstock.batches.orders import Order
from penstock.batches.protocol import Book
from penstock.batches.records import Batch, Shard, ShardState, Status
from penstock.clock import SECOND, now_ms

PAUSE = 10 * SECOND  # until it is sent again, where no worker could be reached

log = structlog.get_logger()


class Starter:
    """Starts shards."""

    def __init__(self, book: Book, workers: Workers) -> None:
        self._book = book
        self._workers = workers

    async def start(self, batch_id: str, number: int) -> bool:
        """Start the shard, where it is to be started; whether it was. Raises LedgerUnavailable, WorkersBroken.

        Where no worker can be reached it waits again, and is sent again a little later.
        """
        batch, shard = await self._book.batch(batch_id), await self._book.shard(batch_id, number)
        if batch is None or shard is None or not startable(batch, shard, now_ms()):
            log.info("shard_not_started", batch=batch_id, shard=number, known=shard is not None)
            return False
        try:
            call = await self._workers.start(order_of(batch, shard))
        except WorkersUnavailable as error:
            log.warning("workers_unavailable", batch=batch_id, shard=number, reason=str(error))
            await move(self._book, shard, state=ShardState.WAITING, since=now_ms() + PAUSE, call=None)
            return False
        return await self._written_down(shard, call)

    async def _written_down(self, shard: Shard, call: str) -> bool:
        attempt = shard.attempt + 1
        running = replace(shard, state=ShardState.RUNNING, since=now_ms(), attempt=attempt, call=call)
        if await self._book.change_shard(running):
            log.info("shard_started", batch=shard.batch_id, shard=shard.number, attempt=attempt, call=call)
            return True
        log.info("shard_started_twice", batch=shard.batch_id, shard=shard.number, call=call)
        await self._workers.cancel(shard.model, call)
        return False


def startable(batch: Batch, shard: Shard, now: int) -> bool:
    """Whether a worker may be given the shard."""
    due = shard.state in (ShardState.WAITING, ShardState.SENT)
    return due and batch.status is Status.IN_PROGRESS and now < batch.expires_at


def order_of(batch: Batch, shard: Shard) -> Order:
    """What the worker is told."""
    return Order(batch.id, shard.number, shard.model, batch.account_id, batch.key_id, batch.expires_at)
