"""Waiting shards are sent to workers, as many as may be under way at once.

Sending is a step of its own: on AWS a message, so that no function waits for Modal; on one machine a start at once.
The book says that a shard was sent before it is; what was lost in between is sent again by whoever looks after it.
"""

import secrets
from collections.abc import Sequence
from itertools import groupby
from typing import Protocol

import structlog

from functions.batch.at_once import at_once
from functions.batch.changes import move
from functions.batch.fairness import Open, Places, chosen, displaced
from functions.batch.starting import Starter
from functions.batch.workers import Workers, WorkersUnavailable
from penstock.batches.protocol import Book
from penstock.batches.records import Batch, Shard, ShardState, Status
from penstock.clock import now_ms
from penstock.models import ModelTable

LOOKS_AT_ONCE = 16

log = structlog.get_logger()


class Dispatch(Protocol):
    """The way from the book to a worker."""

    async def send(self, batch: Batch, shards: Sequence[Shard]) -> None:
        """Have these shards of the batch started, soon. What fails is logged, and is found SENT for too long."""


class Directly:
    """Starts them here and now."""

    def __init__(self, starter: Starter) -> None:
        self._starter = starter

    async def send(self, batch: Batch, shards: Sequence[Shard]) -> None:
        """Start them one after the other. Raises WorkersBroken."""
        for shard in shards:
            await self._starter.start(batch.id, shard.number)


class Dispatcher:
    """Fills the places of every model.

    `at_once` is how many shards of a model may be under way; None: by its table. `of_account` is how many of an account
    may be, of all models.
    """

    def __init__(
        self,
        book: Book,
        dispatch: Dispatch,
        models: ModelTable,
        *,
        workers: Workers,
        at_once: int | None,
        of_account: int,
    ) -> None:
        self._book = book
        self._workers = workers
        self._dispatch = dispatch
        self._models = models
        self._at_once = at_once
        self._places = Places(self.places, of_account)

    async def fill(self) -> int:
        """Send what there is a place for; how many shards that were."""
        now = now_ms()
        batches = await self._open(now)
        for kept in displaced(batches, self._places, now):
            await self._take_back(kept)  # its place is another's with the next look
        choices = chosen(batches, self._places, now)
        sent = [(batch, shard) for batch, found in choices if (shard := await self._sent(found)) is not None]
        for batch, shards in groupby(sent, key=lambda one: one[0]):
            await self._dispatch.send(batch, [shard for _, shard in shards])
        return len(sent)

    def places(self, model: str) -> int:
        """How many shards of the model may be under way: twice its containers, so that each finds its next one."""
        served = self._models.get(model)
        return self._at_once or (1 if served is None else 2 * served.modal.max_containers)

    async def _open(self, now: int) -> list[Open]:
        async def look(batch_id: str) -> Open | None:
            batch = await self._book.batch(batch_id)
            if batch is None or batch.status not in (Status.IN_PROGRESS, Status.CANCELLING):
                return None
            shards = await self._book.shards(batch_id)
            if batch.status is Status.IN_PROGRESS and now < batch.expires_at:
                return Open(batch, shards)
            # What is to stop has its places until it has stopped.
            return Open(batch, [shard for shard in shards if shard.state is not ShardState.WAITING])

        found = await at_once(LOOKS_AT_ONCE, look, await self._book.open_batches())
        return [one for one in found if one is not None]

    async def _take_back(self, shard: Shard) -> None:
        """Let a running shard wait again; its worker is told to stop, and whoever has it next goes on where it is."""
        if await move(self._book, shard, state=ShardState.WAITING, since=now_ms(), call=None) is None:
            return
        log.info("shard_taken_back", batch=shard.batch_id, shard=shard.number)
        try:
            if shard.call is not None:
                await self._workers.cancel(shard.model, shard.call)
        except WorkersUnavailable as error:
            log.warning("workers_unavailable", batch=shard.batch_id, shard=shard.number, reason=str(error))

    async def _sent(self, shard: Shard) -> Shard | None:
        # A name of its own: of two who send at once, and would store the same, one does.
        return await move(self._book, shard, state=ShardState.SENT, since=now_ms(), call=secrets.token_hex(8))
