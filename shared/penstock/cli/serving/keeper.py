"""Keeps one program running: starts it, and starts it again when it has died.

One that serves a port is given up where it does not start time and again; one that serves none is ready as soon as it
runs, and what it cannot do is waited for by nobody here: it is started as often as it dies.
"""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from time import monotonic

from penstock.cli.failure import Failure
from penstock.cli.serving.process import Process, Program

TRIES = 5  # starts in a row that fail, after which there is no use in another
START_WITHIN = 900.0  # seconds: the largest models take minutes to load
_FIRST_DELAY = 0.5  # seconds; doubles up to _LAST_DELAY
_LAST_DELAY = 30.0
_HEALTHY = 60.0  # seconds of life after which the delays begin anew


class Keeper:
    """One program and its present process. `say` prints a line to whoever runs `penstock serve`."""

    def __init__(self, program: Program, tether: int, say: Callable[[str], None]) -> None:
        self._program = program
        self._tether = tether
        self._say = say
        self._process: Process | None = None
        self._stopping = asyncio.Event()
        self.ready = asyncio.Event()  # set when it has been ready for the first time

    async def keep(self) -> None:
        """Run until stopped. Raises Failure where the program cannot start, or cannot read its model."""
        deaths = failed_starts = 0
        while not self._stopping.is_set():
            begun = monotonic()
            self._process = await Process.start(self._program, self._tether)
            if self._stopping.is_set():
                await self._process.stop()
                return
            started = await self._until_ended(self._process, begun, again=deaths > 0)
            if self._stopping.is_set():
                return
            if self._program.port is not None:
                self._program.port.renew()
            fate = self._process.fate()
            failed_starts = 0 if started else failed_starts + 1
            if fate.unreadable and not started:
                raise Failure(f"the model cannot be read: {fate.error}")
            if failed_starts == TRIES:
                raise Failure(f"the {self._program.name} does not start ({TRIES} tries): it {fate}")
            deaths = 1 if started and monotonic() - begun > _HEALTHY else deaths + 1
            await self._pause(str(fate), deaths)

    async def _until_ended(self, process: Process, begun: float, *, again: bool) -> bool:
        """Wait for the process's end; whether it was ready before."""
        try:
            started = await asyncio.wait_for(process.ready(), START_WITHIN)
        except TimeoutError:
            process.kill()
            started = False
        if started:
            self.ready.set()
            if again and self._program.port is not None:
                self._say(f"The {self._program.name} is ready again ({monotonic() - begun:.1f} s).")
        await process.ended()
        return started

    async def _pause(self, fate: str, deaths: int) -> None:
        longest = min(_FIRST_DELAY * 2 ** min(deaths - 1, 16), _LAST_DELAY)
        delay = longest * random.uniform(0.5, 1.0)
        self._say(f"The {self._program.name} {fate}. It is started again in {delay:.1f} s.")
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), delay)

    async def stop(self) -> None:
        """Stop the process, and start it no more."""
        self._stopping.set()
        if self._program.port is not None:
            self._program.port.close()
        if self._process is not None:
            await self._process.stop()

    def kill(self) -> None:
        """The same, at once."""
        self._stopping.set()
        if self._process is not None:
            self._process.kill()
