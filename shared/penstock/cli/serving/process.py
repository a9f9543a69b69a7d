"""One life of a served process: started, ready, ended."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import httpx2

from penstock.cli.serving.log_file import LogFile
from penstock.cli.serving.port import Port
from penstock.cli.serving.tethered import SETTLE

_ASK_AGAIN = 0.2  # seconds
_ANSWER_WITHIN = 30.0  # seconds; where the port listens already, a question waits for the process


@dataclass(frozen=True, slots=True)
class Program:
    """What is served: an app factory on a port, configured by its environment."""

    name: str  # as people read it: "edge", "GPU process"
    app: str
    port: Port
    environment: Mapping[str, str]
    log: LogFile
    grace: int  # seconds that running requests get when it is stopped


class Process:
    """A running program."""

    def __init__(self, program: Program, process: asyncio.subprocess.Process, log_start: int) -> None:
        self._program = program
        self._process = process
        self._log_start = log_start

    @classmethod
    async def start(cls, program: Program, tether: int) -> "Process":
        """Start it in a session of its own, so that the terminal's Ctrl-C reaches the supervisor alone."""
        listen = program.port.fileno()
        arguments = [program.app, "--listen", listen, "--tether", tether, "--grace", program.grace]
        log_start = program.log.size()
        with program.log.path.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "penstock.cli.serving.tethered", *map(str, arguments)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=program.environment,
                pass_fds=(listen, tether),
                start_new_session=True,
            )
        return cls(program, process, log_start)

    async def ready(self) -> bool:
        """Wait until it takes requests: True. False where it ended before."""
        ended = asyncio.create_task(self._process.wait())
        asking = asyncio.create_task(self._ask())
        try:
            done, _ = await asyncio.wait({ended, asking}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended.cancel()
            asking.cancel()
            await asyncio.gather(ended, asking, return_exceptions=True)
        if ended in done:
            return False
        asking.result()
        return True

    async def _ask(self) -> None:
        url = f"{self._program.port.url()}/health/ready"
        async with httpx2.AsyncClient(timeout=_ANSWER_WITHIN, trust_env=False) as client:
            while True:
                try:
                    if (await client.get(url)).status_code == 200:
                        return
                except httpx2.TransportError:
                    pass  # not up yet, or gone: its end is waited for beside this
                await asyncio.sleep(_ASK_AGAIN)

    async def ended(self) -> None:
        """Wait for its end."""
        await self._process.wait()

    async def stop(self) -> None:
        """Ask it to stop, and kill it where it does not within its grace."""
        self._signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), self._program.grace + SETTLE)
        except TimeoutError:
            self.kill()
            await self._process.wait()

    def kill(self) -> None:
        """End it at once."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._process.returncode is None:
            with suppress(ProcessLookupError):  # it ended just now
                os.kill(self._process.pid, number)

    def fate(self) -> "Fate":
        """How it ended."""
        code = self._process.returncode or 0
        if code < 0:
            return Fate(f"was killed by {signal.Signals(-code).name}", "", unreadable=False)
        event, error = self._program.log.last_error(self._log_start)
        return Fate(f"ended with code {code}", error, unreadable=event == "model_unreadable")


@dataclass(frozen=True, slots=True)
class Fate:
    """How a process ended, the last error it logged, and whether that was a model it cannot read."""

    how: str
    error: str
    unreadable: bool

    def __str__(self) -> str:
        return f"{self.how}: {self.error}" if self.error else self.how
