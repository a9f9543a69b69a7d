"""Why no more lines of a shard are begun, and waiting that ends as soon as that is so."""

import asyncio
from collections.abc import Coroutine
from enum import Enum
from typing import TypeVar

T = TypeVar("T")


class Why(Enum):
    """What ends the work on a shard before its last line."""

    STOPPED = "stopped"  # the batch was cancelled
    EXPIRED = "expired"
    LEFT = "left"  # this process is to end, or the call was cancelled: another worker goes on
    LOST = "lost"  # another worker has the shard
    FAILED = "failed"  # this worker cannot go on

    @property
    def for_good(self) -> bool:
        """Whether nobody is to go on."""
        return self in (Why.STOPPED, Why.EXPIRED)


class Ending:
    """The end of one attempt. The first reason stays."""

    def __init__(self) -> None:
        self.why: Why | None = None
        self.error: BaseException | None = None  # of what it failed
        self._come = asyncio.Event()

    def __bool__(self) -> bool:
        """Whether it has come."""
        return self.why is not None

    def come(self, why: Why, error: BaseException | None = None) -> None:
        """Begin nothing more."""
        if self.why is None:
            self.why, self.error = why, error
            self._come.set()

    async def wait(self) -> None:
        """Wait until it comes."""
        await self._come.wait()

    async def within(self, seconds: float) -> None:
        """Wait so long, or until it comes."""
        try:
            async with asyncio.timeout(seconds):
                await self._come.wait()
        except TimeoutError:
            pass

    async def unless(self, waiting: Coroutine[object, object, None]) -> bool:
        """Wait for it, or until the end comes, which cancels it; whether it is done."""
        task, coming = asyncio.create_task(waiting), asyncio.create_task(self._come.wait())
        try:
            await asyncio.wait({task, coming}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            coming.cancel()
            task.cancel()
            await asyncio.wait({task, coming})
        if task.cancelled():
            return False
        task.result()
        return True
