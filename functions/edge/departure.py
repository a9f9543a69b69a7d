"""A client that leaves before its answer is whole: its request ends with it, unless the answer is kept.

An answer under an `Idempotency-Key` is finished all the same, for the retry. So many of those may run in a
process as it has connections to the GPU; a client that leaves beyond that ends its request as ever.
"""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from starlette.requests import ClientDisconnect

from functions.edge.exchange import Exchange

T = TypeVar("T")


async def departure(exchange: Exchange) -> None:
    """Ends when the client has gone and its request is to end. Behind Mangum, which cannot know, it never does."""
    while (await exchange.request.receive())["type"] != "http.disconnect":
        pass
    places = exchange.edge.unattended
    if exchange.attempt is None or places.locked():
        return
    async with places:  # given up when the answer is done, and this is cancelled
        exchange.facts.update(unattended=True)
        await asyncio.get_running_loop().create_future()


async def unless(gone: "asyncio.Task[None]", work: Awaitable[T]) -> T:
    """The work's result; where the client goes first, the work is cancelled and ClientDisconnect raised."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
