"""A batch in progress: what its shards have come to, those whose workers died, and its stop.

A shard is done where its mark is there. Calls are asked about only where `poll` says so: that costs a request each, and
most shards end with a mark, which is an event. A call that is over without a mark has died, or gave the shard up for
now: the shard waits again. It is given up for good where it was started `shard_attempts` times without a line more;
which lines failed in which way is the worker's business, and the join's.

A batch that is to stop, because it was cancelled or its time is over, says so to its workers by an object. What was
not started is closed at once, what runs ends by itself; a worker that does not is cancelled, and closed upon.
"""

from collections.abc import Sequence
from dataclasses import replace

import structlog

from functions.batch.at_once import at_once
from functions.batch.changes import change_batch, move
from functions.batch.shard_end import ShardEnds
from functions.batch.workers import CallState, Workers, WorkersUnavailable
from penstock.batches import addresses
from penstock.batches.protocol import Book
from penstock.batches.records import Batch, Shard, ShardState, Status
from penstock.clock import MINUTE, SECOND, now_ms
from penstock.ledger import Usage
from penstock.objects import Objects

SENT_FOR = 5 * MINUTE  # after which what was sent is lost
ASKED_AFTER = 20 * SECOND  # a call that is younger is not asked about
LONGEST_CALL = 25 * 60 * MINUTE  # one more than it may run on Modal
STOPS_WITHIN = 60 * SECOND  # a worker, by itself; then its call is cancelled
CANCELLED_WITHIN = 30 * SECOND  # and then its shard is closed
FIRST_PAUSE = 5 * SECOND  # until a shard that failed is sent again; twice that after each time that nothing was done
MOST_DOUBLINGS = 6
RETURNED_PAUSE = 30 * SECOND  # until one is sent again whose worker returned without an end
AT_ONCE = 16  # shards that are looked after

log = structlog.get_logger()


class Running:
    """Looks after the shards of batches in progress."""

    def __init__(
        self, book: Book, objects: Objects, workers: Workers, attempts: int, *, asked_after: int = ASKED_AFTER
    ) -> None:
        self._book = book
        self._objects = objects
        self._workers = workers
        self._ends = ShardEnds(book, objects)
        self._attempts = attempts
        self._asked_after = asked_after

    async def step(self, batch: Batch, *, poll: bool) -> bool:
        """Look at all shards; whether the batch has nothing under way any more, and is to be finalized.

        Repeatable. Raises WorkersBroken.
        """
        stopping = is_stopping(batch, now_ms())
        if stopping:
            await self._say_stop(batch)
        marked = await self._ends.marked(batch)

        async def look(shard: Shard) -> Shard:
            return await self._look(batch, shard, marked=shard.number in marked, stopping=stopping, poll=poll)

        shards = await at_once(AT_ONCE, look, await self._book.shards(batch.id))
        finished = all(shard.state is ShardState.DONE for shard in shards)
        await self._keep(batch, shards, finished=finished)
        return finished

    async def _look(self, batch: Batch, shard: Shard, *, marked: bool, stopping: bool, poll: bool) -> Shard:
        """The shard as it is after the look: as it was, where another was faster."""
        if shard.state is ShardState.DONE:
            return shard
        moved = await self._marked(shard, stopping=stopping) if marked else None
        if moved is None and stopping:
            moved = await self._stop(batch, shard, poll=poll)
        elif moved is None and shard.state is ShardState.SENT and now_ms() - shard.since > SENT_FOR:
            log.warning("shard_lost", batch=shard.batch_id, shard=shard.number)
            moved = await move(self._book, shard, state=ShardState.WAITING, since=now_ms(), call=None)
        elif moved is None and shard.state is ShardState.RUNNING and poll:
            moved = await self._poll(shard)
        return shard if moved is None else moved

    async def _marked(self, shard: Shard, *, stopping: bool) -> Shard | None:
        """The shard with what its mark says; None where that is not the whole of it, though it is to go on."""
        outcome = await self._ends.mark(shard)
        if outcome is not None and (stopping or outcome.completed + outcome.failed >= shard.lines):
            return await self._ends.finished(shard, outcome)
        if not stopping:
            await self._ends.unmark(shard)
            return await self._again(shard)
        return None

    async def _poll(self, shard: Shard) -> Shard | None:
        if now_ms() - shard.since < self._asked_after:
            return None
        state = await self._state(shard)
        if state is CallState.RUNNING:
            return None
        # It may have put its mark after the marks were listed.
        if await self._ends.mark(shard) is not None:
            return await self._marked(shard, stopping=False)
        return await self._again(shard, returned=state is CallState.ENDED)

    async def _state(self, shard: Shard) -> CallState:
        """What became of its call, as far as is known."""
        if shard.call is None or now_ms() - shard.since > LONGEST_CALL:
            return CallState.FAILED
        try:
            return await self._workers.state(shard.model, shard.call)
        except WorkersUnavailable as error:
            log.warning("workers_unavailable", batch=shard.batch_id, shard=shard.number, reason=str(error))
            return CallState.RUNNING

    async def _again(self, shard: Shard, *, returned: bool = False) -> Shard | None:
        """Its worker is gone: it waits again, unless there is no hope.

        A worker that `returned` could not go on just now, because everything is switched off, say, or its container
        ends: that is no attempt.
        """
        so_far = await self._ends.so_far(shard)
        done = so_far.completed + so_far.failed
        stalled = 0 if done > shard.completed + shard.failed else shard.stalled + (not returned)
        log.warning("shard_unfinished", batch=shard.batch_id, shard=shard.number, done=done, stalled=stalled)
        if done >= shard.lines or stalled >= self._attempts:
            return await self._ends.close(shard)
        counts = {"completed": so_far.completed, "failed": so_far.failed, "usage": so_far.usage}
        pause = RETURNED_PAUSE if returned else FIRST_PAUSE << min(stalled, MOST_DOUBLINGS)
        again_at = now_ms() + pause
        waiting = {"state": ShardState.WAITING, "since": again_at, "call": None, "stalled": stalled}
        return await move(self._book, shard, **waiting, **counts)

    # -- stopping ---------------------------------------------------------------------------------

    async def _say_stop(self, batch: Batch) -> None:
        if await self._objects.size(addresses.stop(batch.id)) is None:
            await self._objects.put(addresses.stop(batch.id), b"{}")

    async def _stop(self, batch: Batch, shard: Shard, *, poll: bool) -> Shard | None:
        if shard.state is not ShardState.RUNNING:
            return await self._ends.close(shard)
        stopped_for = now_ms() - stopped_at(batch)
        if stopped_for > STOPS_WITHIN + CANCELLED_WITHIN:
            return await self._ends.close(shard)
        if stopped_for > STOPS_WITHIN and shard.call is not None:
            await self._cancel(shard, shard.call)
        if poll and await self._state(shard) is not CallState.RUNNING:
            return await self._ends.close(shard)
        return None

    async def _cancel(self, shard: Shard, call: str) -> None:
        try:
            await self._workers.cancel(shard.model, call)
        except WorkersUnavailable as error:
            log.warning("workers_unavailable", batch=shard.batch_id, shard=shard.number, reason=str(error))

    # -- the batch --------------------------------------------------------------------------------

    async def _keep(self, batch: Batch, shards: Sequence[Shard], *, finished: bool) -> None:
        """Store what was done so far, and that nothing is left to do. Not where the batch went on meanwhile."""

        def kept(found: Batch) -> Batch | None:
            counted = _counted(found, shards)
            if finished:
                counted = replace(counted, status=Status.FINALIZING, finalizing_at=now_ms())
            return None if counted == found or found.status is not batch.status else counted

        await change_batch(self._book, batch.id, kept)


def is_stopping(batch: Batch, now: int) -> bool:
    """Whether no new line of the batch is to be begun."""
    return batch.status is Status.CANCELLING or now >= batch.expires_at


def stopped_at(batch: Batch) -> int:
    """Since when that is so, of a batch that is to stop."""
    return batch.expires_at if batch.cancelling_at is None else batch.cancelling_at


def _counted(batch: Batch, shards: Sequence[Shard]) -> Batch:
    used = [shard.usage for shard in shards]
    usage = Usage(
        sum(one.prompt_tokens for one in used),
        sum(one.cached_prompt_tokens for one in used),
        sum(one.completion_tokens for one in used),
    )
    completed, failed = sum(shard.completed for shard in shards), sum(shard.failed for shard in shards)
    return replace(batch, completed=completed, failed=failed, usage=usage)
