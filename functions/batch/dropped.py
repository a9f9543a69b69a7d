"""A file was dropped: what S3 invokes for each object `incoming/....jsonl`. It makes the batch, and no more.

An event may come twice, or again after a failure: it is the same batch each time. An invocation that fails is tried
again by Lambda, and then goes to the dead letters.
"""

from collections.abc import Mapping
from typing import Any

import structlog

from functions.batch import incoming
from functions.batch.function import Context, Function
from functions.batch.plant import Plant
from functions.batch.s3_event import drops_of

log = structlog.get_logger()

_function = Function("dropped")


def handler(event: Mapping[str, Any], context: Context) -> dict[str, int]:
    """How many batches there are of the event's objects. Raises LedgerUnavailable, ObjectsUnavailable, TimeoutError."""
    drops = drops_of(event)

    async def accept(plant: Plant) -> int:
        made = [await incoming.accept(plant, drop) for drop in drops]
        return sum(batch is not None for batch in made)

    return {"batches": _function.run(accept, context)}
