"""The supervisor of one machine: it keeps edge, GPU process and batch machine running, and the ledger in order.

It stands for what the cloud does by itself: restarting what died, closing dead leases on a schedule,
bounding the logs. The processes are those that are deployed, configured by their environment alone.
"""

import asyncio
import os
from collections.abc import Callable, Sequence

from penstock.cli.serving.keeper import Keeper
from penstock.cli.serving.process import Program
from penstock.clock import now_ms
from penstock.ledger import Ledger, LedgerUnavailable

HOUSEKEEPING_EVERY = 10.0  # seconds


class Supervisor:
    """Runs the programs, the later ones serving the earlier ones: they are stopped in that order."""

    def __init__(self, programs: Sequence[Program], ledger: Ledger, say: Callable[[str], None]) -> None:
        self._programs = programs
        self._ledger = ledger
        self._say = say
        # The reading end goes to every process, the writing end to none: see `tethered`.
        read, write = os.pipe()
        self._tether, self._tether_held = os.fdopen(read, "rb", 0), os.fdopen(write, "wb", 0)
        self.keepers = [Keeper(program, read, say) for program in programs]
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start every program."""
        self._tasks = [asyncio.create_task(keeper.keep()) for keeper in self.keepers]
        self._tasks.append(asyncio.create_task(self._keep_house()))

    async def failure(self) -> None:
        """Wait until a program has to be given up, and raise its Failure."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def stop(self) -> None:
        """Stop the programs one after another, each within its grace."""
        for keeper in self.keepers:
            await keeper.stop()
        for task in self._tasks[len(self.keepers) :]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tether_held.close()
        self._tether.close()

    def kill(self) -> None:
        """Kill the programs at once; `stop` still is to be called, or goes on."""
        for keeper in self.keepers:
            keeper.kill()

    async def _keep_house(self) -> None:
        reachable = True
        while True:
            try:
                while await self._ledger.expire(now_ms()):
                    pass
                reachable = True
            except LedgerUnavailable as error:
                if reachable:
                    self._say(f"The ledger is not available: {error}")
                reachable = False
            for program in self._programs:
                program.log.bound()
            await asyncio.sleep(HOUSEKEEPING_EVERY)
