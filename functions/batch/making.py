"""A batch is made of what came without the API: its file and itself into the book, and a word that it is there.

May be done again for the same thing, whose ids are the same each time: then nothing is made twice.
"""

from functions.batch.plant import Plant
from penstock.batches import addresses
from penstock.batches.records import Batch, File
from penstock.clock import SECOND

WINDOW_S = 24 * 60 * 60


def expires_at(made_at: int) -> int:
    """When a batch that was made then is over, in milliseconds."""
    return made_at + WINDOW_S * SECOND


async def make(plant: Plant, file: File, batch: Batch) -> None:
    """Make the batch of that file, whose content is there. Raises LedgerUnavailable and ObjectsUnavailable."""
    await plant.book.add_file(file)
    if not await plant.book.add_batch(batch):
        known = await plant.book.batch(batch.id)
        if known is None or known.closed:
            return
    await plant.objects.put(addresses.poke(batch.id), b"{}")
