"""Something has happened to a batch: what S3 invokes for each object `work/....event`. It takes the batch further.

That is where batches are validated and joined, for minutes maybe. An invocation whose time is up leaves the rest to the
schedule; one that fails is tried again by Lambda, and by the schedule in any case.
"""

from collections.abc import Mapping
from typing import Any

import structlog

from functions.batch.function import Context, Function
from functions.batch.plant import Plant
from functions.batch.s3_event import keys_of
from penstock.batches.addresses import batch_of_event

log = structlog.get_logger()

_function = Function("batch")


def handler(event: Mapping[str, Any], context: Context) -> dict[str, int]:
    """How many batches were advanced, and how many of them are closed. Raises LedgerUnavailable, ObjectsUnavailable."""
    ids = {batch_id for key in keys_of(event) if (batch_id := batch_of_event(key)) is not None}

    async def advance(plant: Plant) -> int:
        return sum([await plant.batches.advance(batch_id, poll=False) for batch_id in sorted(ids)])

    try:
        return {"batches": len(ids), "closed": _function.run(advance, context)}
    except TimeoutError:
        log.warning("pass_cut_off", batches=sorted(ids))
        return {"batches": len(ids), "closed": 0}
