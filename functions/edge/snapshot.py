"""A process on Lambda that is copied, or stands still: ready before its first request, and fresh after a rest.

Before a snapshot, or before the first request where SnapStart is off, all is loaded that requests need, and
nothing is opened or read that would be the same in every copy: no connection, no secret, no credentials of AWS.

A copy gets its own random numbers. Ids and tokens come from the operating system, which sees to that itself;
Python's generator, which spreads retries, has to be seeded anew.

Between invocations Lambda lets a process stand still, for minutes or hours. Whether its monotonic clock does as
well is not promised; where it did, what counts by that clock would seem fresh, and idle connections open.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine
from importlib import import_module
from time import monotonic, time
from typing import Any

import structlog

from functions.edge.edge import Edge

STOOD_STILL = 2.0  # seconds by which the world's clock gets ahead of the process's; no correction of it is so large

log = structlog.get_logger()


class Rest:
    """What a process does about its edge once it is loaded, was restored, or stood still.

    All but `wake` are called while the event loop that serves the requests is this thread's, and does not run.
    """

    def __init__(
        self, edge: Edge, *, clock: Callable[[], float] = monotonic, world: Callable[[], float] = time
    ) -> None:
        self._edge = edge
        self._clock = clock
        self._world = world
        self._ahead = world() - clock()

    def prime(self) -> None:
        """Load what requests need. A failure is the first request's to meet."""
        try:
            _run(self._edge.prime())
        except Exception as error:
            log.error("not_primed", exc_info=error)

    def register(self) -> None:
        """Have `restored` called in each process that is restored from a snapshot of this one.

        `snapshot_restore_py` is a part of Lambda's managed Python; where it is missing there are no snapshots.
        """
        try:
            hooks = import_module("snapshot_restore_py")
        except ModuleNotFoundError:
            return
        hooks.register_after_restore(self.restored)

    def restored(self) -> None:
        """Become a process of one's own."""
        random.seed()
        self.stood_still()
        _run(self._edge.renew())

    def stood_still(self) -> bool:
        """Whether the process did since this was last asked, unseen by its own clock."""
        before, self._ahead = self._ahead, self._world() - self._clock()
        return self._ahead - before > STOOD_STILL

    async def wake(self) -> None:
        """Before an invocation: renew the edge where the process stood still."""
        if self.stood_still():
            await self._edge.renew()


def _run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.get_event_loop().run_until_complete(work)
