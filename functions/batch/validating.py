"""A batch's first step: its input is looked at, and cut into shards, or refused.

May be taken again from its beginning: the same input gives the same shards.
"""

from dataclasses import replace

import structlog

from functions.batch.held import Held
from functions.batch.validation import Validated, validate
from penstock.batches.protocol import Book
from penstock.batches.records import Batch, Status
from penstock.clock import now_ms
from penstock.ledger import Ledger
from penstock.models import ModelTable
from penstock.objects import Objects
from penstock.settings import BatchSettings

log = structlog.get_logger()


class Validating:
    """Validates batches."""

    def __init__(
        self, book: Book, objects: Objects, ledger: Ledger, models: ModelTable, settings: BatchSettings
    ) -> None:
        self._book = book
        self._objects = objects
        self._ledger = ledger
        self._models = models
        self._settings = settings

    async def step(self, batch: Batch) -> bool:
        """Validate the batch; False where another does. Raises HoldLost, also where it was cancelled meanwhile."""
        held = await Held.take(self._book, batch)
        if held is None:
            return False
        validated = await held.run(self._validated(held.batch))
        after = await held.finish(
            lambda found: _refused(found, validated) if validated.errors else _begun(found, validated)
        )
        log.info("batch_validated", batch=batch.id, status=after.status.value, lines=after.lines, shards=after.shards)
        return True

    async def _validated(self, batch: Batch) -> Validated:
        caller = await self._ledger.caller(batch.key_id)
        validated = await validate(batch, caller, self._models, self._objects, self._settings, now=now_ms())
        if not validated.errors:
            await self._book.add_shards(validated.shards)
        return validated


def _begun(batch: Batch, validated: Validated) -> Batch:
    models = {shard.model for shard in validated.shards}
    return replace(
        batch,
        status=Status.IN_PROGRESS,
        in_progress_at=now_ms(),
        lines=validated.lines,
        shards=len(validated.shards),
        model=models.pop() if len(models) == 1 else None,
    )


def _refused(batch: Batch, validated: Validated) -> Batch:
    return replace(
        batch,
        status=Status.FAILED,
        ended_at=now_ms(),
        errors=tuple(validated.errors),
        more_errors=validated.more_errors,
    )
