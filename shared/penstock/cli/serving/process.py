"""One life of a process that is kept running: started, ready, ended."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
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
    """What is kept running: a module, configured by its environment, tied to the supervisor's life by `--tether`."""

    name: str  # as people read it: "edge", "GPU process"
    environment: Mapping[str, str]
    log: LogFile
    grace: int  # seconds that what is under way gets when it is stopped
    module: str
    arguments: Sequence[str] = ()
    port: Port | None = None  # that it serves
    niceness: int = 0  # of nice(1): how much it leaves the processors to the others


def served(name: str, app: str, port: Port, *, environment: Mapping[str, str], log: LogFile, grace: int) -> Program:
    """An app factory, `module:name`, served on a port (see `tethered`)."""
    return Program(name, environment, log, grace, "penstock.cli.serving.tethered", (app,), port)


class Process:
    """A running program."""

    def __init__(self, program: Program, process: asyncio.subprocess.Process, log_start: int) -> None:
        self._program = program
        self._process = process
        self._log_start = log_start

    @classmethod
    async def start(cls, program: Program, tether: int) -> "Process":
        """Start it in a session of its own, so that the terminal's Ctrl-C reaches the supervisor alone."""
        arguments = [*program.arguments, "--tether", tether]
        descriptors = [tether]
        if program.port is not None:
            listen = program.port.fileno()
            arguments += ["--listen", listen, "--grace", program.grace]
            descriptors.append(listen)
        log_start = program.log.size()
        with program.log.path.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", program.module, *map(str, arguments)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=program.environment,
                pass_fds=descriptors,
                start_new_session=True,
            )
        if program.niceness:
            with suppress(ProcessLookupError):  # it ended just now
                os.setpriority(os.PRIO_PROCESS, process.pid, program.niceness)
        return cls(program, process, log_start)

    async def ready(self) -> bool:
        """Wait until it takes requests: True. False where it ended before. What serves no port is not waited for."""
        if self._program.port is None:
            return True
        ended = asyncio.create_task(self._process.wait())
        asking = asyncio.create_task(self._ask(f"{self._program.port.url()}/health/ready"))
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

    async def _ask(self, url: str) -> None:
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
