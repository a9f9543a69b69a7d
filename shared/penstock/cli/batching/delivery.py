"""What a batch came to, written where it was asked for: each file whole, in place of the one before, or not at all."""

from pathlib import Path

from penstock.batches.records import Batch
from penstock.cli.batching.bill import Bill
from penstock.client.draft import draft_of
from penstock.objects import Objects


async def deliver(batch: Batch, objects: Objects, output: Path, errors: Path, bill: Bill) -> None:
    """Write the answers, which may be none, and count them; and the errors: where there are none, no file.

    Raises OSError, ObjectsUnavailable.
    """
    with draft_of(output) as file:
        if batch.output_file_id is not None:
            async for part in objects.chunks(batch.output_address):
                bill.add(part)
                file.write(part)
    if batch.error_file_id is None:
        _remove(errors)  # of a run before
        return
    with draft_of(errors) as file:
        async for part in objects.chunks(batch.error_address):
            file.write(part)


def _remove(file: Path) -> None:
    file.unlink(missing_ok=True)
