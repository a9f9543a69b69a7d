"""The end of a shard: its mark, which its worker leaves, or whoever closes it in the worker's place.

What was done of a shard is in its log alone. A shard is closed where no worker will finish it: its log is closed
first, so that a worker which is still at it can add nothing more, and what it is marked with is the whole of it.
"""

from collections.abc import Sequence

import orjson
import structlog

from functions.batch.changes import move
from penstock.batches import addresses, log
from penstock.batches.orders import Outcome
from penstock.batches.protocol import Book
from penstock.batches.records import Batch, Shard, ShardState
from penstock.clock import now_ms
from penstock.ledger import Usage
from penstock.objects import Missing, Objects

logger = structlog.get_logger()


class ShardEnds:
    """The marks of shards, read and put."""

    def __init__(self, book: Book, objects: Objects) -> None:
        self._book = book
        self._objects = objects

    async def marked(self, batch: Batch) -> set[int]:
        """The shards that have a mark."""
        return {addresses.shard_of_mark(one.key) async for one in self._objects.list(addresses.done(batch.id))}

    async def mark(self, shard: Shard) -> Outcome | None:
        """What the shard's mark says; None where there is none, or it says nothing that can be read."""
        try:
            return Outcome.read(orjson.loads(await self._objects.get(_mark(shard))))
        except Missing:
            return None
        except ValueError:
            logger.error("mark_unreadable", batch=shard.batch_id, shard=shard.number)
            return None

    async def unmark(self, shard: Shard) -> None:
        """Take the mark away: there is more to be done."""
        await self._objects.delete([_mark(shard)])

    async def finished(self, shard: Shard, outcome: Outcome) -> Shard | None:
        """Store that the shard is done; None where another changed it."""
        return await move(self._book, shard, state=ShardState.DONE, since=now_ms(), call=None, **_counts(outcome))

    async def so_far(self, shard: Shard) -> Outcome:
        """What the shard's log says was done."""
        return outcome_of([entry async for entry in log.entries(self._objects, shard.batch_id, shard.number)])

    async def close(self, shard: Shard) -> Shard | None:
        """End the shard as it is; None where another changed it. What was done of it stays done."""
        await log.close(self._objects, shard.batch_id, shard.number)
        outcome = await self.so_far(shard)
        await self._objects.put(_mark(shard), orjson.dumps(outcome.written()))
        return await self.finished(shard, outcome)


def outcome_of(entries: Sequence[log.Entry]) -> Outcome:
    """What the entries of a log come to."""
    results = log.results(entries).values()
    completed = sum(one.status == 200 for one in results)
    used = [entry.usage for entry in entries if isinstance(entry, log.Ended)]
    usage = Usage(
        sum(one.prompt_tokens for one in used),
        sum(one.cached_prompt_tokens for one in used),
        sum(one.completion_tokens for one in used),
    )
    return Outcome(completed, len(results) - completed, usage)


def _counts(outcome: Outcome) -> dict[str, object]:
    return {"completed": outcome.completed, "failed": outcome.failed, "usage": outcome.usage}


def _mark(shard: Shard) -> str:
    return addresses.shard_done(shard.batch_id, shard.number)
