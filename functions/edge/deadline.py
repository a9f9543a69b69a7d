"""The deadline: the moment at which what runs the app would end it without a word.

On Lambda that is the function's timeout, which the invocation's context knows; Mangum and the streaming runtime
put it into the ASGI scope as `aws.context`. Under uvicorn there is none. MARGIN_S before it the request is
cancelled, as if its client had left: the connection to the GPU is closed, which settles what was generated, the
lease is given back where it was never taken up, and an `Idempotency-Key` is free again. That has GRACE_S; where
it takes longer (a ledger that is away), the answer goes out all the same, and the rest goes on as far as it gets.
So the edge has answered a second before the function ends.
"""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from starlette.types import Scope

MARGIN_S = 2.0
GRACE_S = 1.0


class Deadline:
    """One request's, so many seconds from now."""

    def __init__(self, seconds: float) -> None:
        self._clock = asyncio.get_running_loop().time
        self._at = self._clock() + seconds
        self.passed = False  # the request was cancelled for it

    def remaining(self) -> float:
        """The seconds that are left, never below 0."""
        return max(self._at - self._clock(), 0.0)

    async def hold(self, work: Coroutine[Any, Any, None]) -> bool:
        """Whether the work ended in time. Raises what it raised; not if it had to be cancelled."""
        task = asyncio.ensure_future(work)
        try:
            await asyncio.wait({task}, timeout=self.remaining())
        except asyncio.CancelledError:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            raise
        if task.done():
            task.result()
            return True
        self.passed = True
        task.cancel()
        task.add_done_callback(_heard)
        await asyncio.wait({task}, timeout=GRACE_S)
        return False


def deadline_of(scope: Scope) -> Deadline | None:
    """The deadline of a request, where what runs the app has one."""
    remaining_ms = getattr(scope.get("aws.context"), "get_remaining_time_in_millis", None)
    return None if remaining_ms is None else Deadline(remaining_ms() / 1_000 - MARGIN_S)


def _heard(task: "asyncio.Task[None]") -> None:
    """Take note of how it ended: there is nobody left to tell."""
    if not task.cancelled():
        task.exception()
