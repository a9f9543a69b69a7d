"""A batch is taken as far as it goes: the states of a batch, on one screen.

    validating   ─► in_progress, failed                       a long step, by one at a time
    in_progress  ─► finalizing                                once all shards are done, or its time is over
    cancelling   ─► finalizing                                once nothing runs any more
    finalizing   ─► completed, expired, cancelled             a long step, by one at a time
    and then     ─► closed                                    its work removed, its end told

Everything here may happen twice, at once, or break off anywhere: each step is repeatable, and each change of the book
is made where nobody was faster. Who calls it, and when, is the event sources' and the schedule's business; what
nobody calls is taken on by the schedule.
"""

from dataclasses import replace

import structlog

from functions.batch.changes import change_batch
from functions.batch.dispatch import Dispatcher
from functions.batch.ending import Ending
from functions.batch.held import HoldLost, is_held, long_step_due
from functions.batch.running import Running, is_stopping
from functions.batch.validating import Validating
from penstock.batches import addresses
from penstock.batches.protocol import Book
from penstock.batches.records import Batch, Status
from penstock.clock import now_ms
from penstock.objects import Objects

MOST_STEPS = 10  # of one batch at a time; there are five states

log = structlog.get_logger()


class Batches:
    """The batches of one book."""

    def __init__(
        self,
        book: Book,
        objects: Objects,
        *,
        validating: Validating,
        running: Running,
        ending: Ending,
        dispatcher: Dispatcher,
    ) -> None:
        self._book = book
        self._objects = objects
        self._validating = validating
        self._running = running
        self._ending = ending
        self._dispatcher = dispatcher

    async def advance(self, batch_id: str, *, poll: bool = True, fill: bool = True, at_length: bool = True) -> bool:
        """Take the batch as far as it goes now; whether it is closed, or there is none of that id.

        `poll`: also ask about calls that are said to run. `fill`: also give free places to waiting shards, of all
        batches. Not `at_length`: where a step is due that may take minutes, have it taken elsewhere.
        Raises LedgerUnavailable, ObjectsUnavailable and WorkersBroken: what was done stays done.
        """
        for _ in range(MOST_STEPS):
            batch = await self._book.batch(batch_id)
            if batch is None or batch.closed:
                return True
            if not at_length and long_step_due(batch) and not _ends_early(batch):
                await self._poke(batch)
                return False
            try:
                if not await self._step(batch, poll=poll):
                    break
            except HoldLost:
                log.info("hold_lost", batch=batch_id)  # to another, or to whoever cancelled it: see what it is now
        if fill:
            await self.fill()
        return False

    async def fill(self) -> int:
        """Give free places to waiting shards; how many were sent."""
        return await self._dispatcher.fill()

    async def _step(self, batch: Batch, *, poll: bool) -> bool:
        """Take the next step; whether there may be one after it."""
        if batch.status.final:
            return await self._ending.close(batch)
        if batch.status is Status.FINALIZING:
            return await self._ending.join(batch)
        if _ends_early(batch):
            return await self._end_early(batch)
        if batch.status is Status.VALIDATING:
            return await self._validating.step(batch)
        return await self._running.step(batch, poll=poll)

    async def _end_early(self, batch: Batch) -> bool:
        """End a batch of which no line was ever to be run."""
        status = Status.CANCELLED if batch.cancelling_at is not None else Status.EXPIRED

        def ended(found: Batch) -> Batch | None:
            return replace(found, status=status, ended_at=now_ms(), hold=None) if found.status is batch.status else None

        await change_batch(self._book, batch.id, ended)
        return True

    async def _poke(self, batch: Batch) -> None:
        if not is_held(batch, now_ms()):
            await self._objects.put(addresses.poke(batch.id), b"{}")


def _ends_early(batch: Batch) -> bool:
    """Whether it was cancelled, or got too old, before it was looked at."""
    return batch.in_progress_at is None and not batch.status.final and is_stopping(batch, now_ms())
