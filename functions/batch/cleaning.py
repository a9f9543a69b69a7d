"""What is left of a batch's work is removed once nobody needs it: shards, logs, marks."""

from penstock.batches.addresses import work
from penstock.objects import Objects

_AT_ONCE = 1_000  # keys


async def clean(batch_id: str, objects: Objects) -> None:
    """Remove all of it; may be done again. Raises ObjectsUnavailable."""
    keys: list[str] = []
    async for one in objects.list(work(batch_id)):
        keys.append(one.key)
        if len(keys) >= _AT_ONCE:
            await objects.delete(keys)
            keys = []
    if keys:
        await objects.delete(keys)
