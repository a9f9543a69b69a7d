"""Several of the same, a few at once: each is finished, whatever becomes of the others."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


async def at_once(most: int, work: Callable[[T], Awaitable[R]], things: Iterable[T]) -> list[R]:
    """What `work` makes of each, in order. All are waited for; then the first one's error is raised, if any failed."""
    places = asyncio.Semaphore(most)

    async def one(thing: T) -> R:
        async with places:
            return await work(thing)

    made: list[R] = []
    for result in await asyncio.gather(*map(one, things), return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
        made.append(result)
    return made
