"""How far a batch has come, also within the shards that run: for a progress bar on this machine.

What a shard's log has is read once; between two looks only new entries are.
"""

from dataclasses import dataclass, field
from typing import Any

from functions.batch.shard_end import outcome_of
from penstock.batches import addresses, log
from penstock.batches.orders import Outcome
from penstock.batches.protocol import Book
from penstock.batches.records import ShardState
from penstock.objects import Missing, Objects


@dataclass
class _Running:
    """What was read of a running shard's log."""

    entries: int = 0
    done: list[Outcome] = field(default_factory=list)


class Progress:
    """The progress of one batch."""

    def __init__(self, batch_id: str, book: Book, objects: Objects) -> None:
        self._batch_id = batch_id
        self._book = book
        self._objects = objects
        self._running: dict[int, _Running] = {}

    async def look(self) -> dict[str, Any] | None:
        """Status and counts as they are now; None where there is no such batch.

        `tokens` are those used, prompts and answers together.
        """
        batch = await self._book.batch(self._batch_id)
        if batch is None:
            return None
        outcomes = [Outcome(batch.completed, batch.failed, batch.usage)]
        if not batch.status.final and batch.in_progress_at is not None:
            outcomes = await self._of_shards()
        return {
            "batch": batch.id,
            "status": batch.status.value,
            "lines": batch.lines,
            "completed": sum(one.completed for one in outcomes),
            "failed": sum(one.failed for one in outcomes),
            "tokens": sum(one.usage.total_tokens for one in outcomes),
        }

    async def _of_shards(self) -> list[Outcome]:
        found: list[Outcome] = []
        for shard in await self._book.shards(self._batch_id):
            if shard.state is ShardState.RUNNING or shard.number in self._running:
                found.extend(await self._of_log(shard.number))
            else:
                found.append(Outcome(shard.completed, shard.failed, shard.usage))
        return found

    async def _of_log(self, shard: int) -> list[Outcome]:
        running = self._running.setdefault(shard, _Running())
        try:
            while True:
                entry = log.read(await self._objects.get(addresses.log_entry(self._batch_id, shard, running.entries)))
                running.entries += 1
                if isinstance(entry, log.Ended):
                    running.done.append(outcome_of([entry]))
        except Missing:
            return running.done
