"""Giving a slice's lease back, of which nothing came: what it had set aside is there for others again.

It is tried several times, because nobody else may ever do it: the lease would hold its bound until its deadline.
"""

import asyncio

from functions.gpu.bookkeeper import Bookkeeper
from penstock.ledger import Lease

PAUSES_S = (0.1, 0.5, 1.0, 2.0)  # between tries


async def give_back(bookkeeper: Bookkeeper, lease: Lease) -> None:
    """Release the lease, unless it is closed already. Where the ledger stays away it ends by itself."""
    for pause in PAUSES_S:
        if await bookkeeper.release(lease) is not None:
            return
        await asyncio.sleep(pause)
    await bookkeeper.release(lease)
