"""Telling a batch's machinery that it is to be looked at.

Where that fails, the request has not: the schedule looks at every open batch all the same, a minute later at most.
"""

from functions.edge.exchange import Exchange
from penstock.batches import addresses
from penstock.objects import ObjectsUnavailable


async def poke(exchange: Exchange, batch_id: str) -> None:
    """Have the batch looked at."""
    await _put(exchange, addresses.poke(batch_id))


async def stop(exchange: Exchange, batch_id: str) -> None:
    """Have no new line of the batch begun, and the batch looked at."""
    await _put(exchange, addresses.stop(batch_id))
    await poke(exchange, batch_id)


async def _put(exchange: Exchange, key: str) -> None:
    try:
        await (await exchange.edge.storage.objects()).put(key, b"{}")
    except ObjectsUnavailable:
        exchange.facts.update(poke="failed")
