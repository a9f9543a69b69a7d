"""The machine of one run: the process that works on its batch, and what it says of it.

`python -m functions.batch.machine --once BATCH` is the program that works on the batches of `penstock serve`, too. It
is tied to this process's life (see `penstock.cli.serving.tethered`), and writes how far it is, a JSON object a line.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress

from pydantic import BaseModel

from penstock.cli.batch_progress import Progress
from penstock.cli.failure import Failure
from penstock.cli.serving.log_file import LogFile

MODULE = "functions.batch.machine"
UNLOADABLE = 3  # the exit status where no worker can load the model
ENDS_WITHIN_S = 30.0


class _Said(BaseModel):
    status: str
    lines: int
    completed: int
    failed: int
    tokens: int


class Machine:
    """One life of it."""

    def __init__(self, environment: Mapping[str, str], log: LogFile) -> None:
        self._environment = environment
        self._log = log
        self._process: asyncio.subprocess.Process | None = None

    async def work(self, batch_id: str, workers: int, show: Callable[[Progress], None]) -> None:
        """Run it until the batch has ended; it is stopped where this is cancelled. Raises Failure."""
        self._log.bound()
        since = self._log.size()
        # The writing end is this process's alone: see `tethered`.
        read, write = os.pipe()
        try:
            process = await self._start(batch_id, workers, read)
            try:
                await self._follow(process, show)
            finally:
                await self._end(process)
        finally:
            os.close(read)
            os.close(write)
        if process.returncode:
            raise self._failure(process.returncode, since)

    def kill(self) -> None:
        """End it at once."""
        self._signal(signal.SIGKILL)

    async def _start(self, batch_id: str, workers: int, tether: int) -> asyncio.subprocess.Process:
        arguments = ("--once", batch_id, "--workers", str(workers), "--progress", "--tether", str(tether))
        with self._log.path.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", MODULE, *arguments),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=self._environment,
                pass_fds=(tether,),
                start_new_session=True,  # the terminal's Ctrl-C reaches this process alone
            )
        return self._process

    async def _follow(self, process: asyncio.subprocess.Process, show: Callable[[Progress], None]) -> None:
        if process.stdout is not None:
            async for line in process.stdout:
                said = _Said.model_validate_json(line)
                show(Progress(said.status, said.lines, said.completed, said.failed, said.tokens))
        await process.wait()

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        self._signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), ENDS_WITHIN_S)
        except TimeoutError:
            self.kill()
            await process.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):  # it ended just now
                self._process.send_signal(number)

    def _failure(self, code: int, since: int) -> Failure:
        if code == UNLOADABLE:
            _, reason = self._log.last_error(since, "model_unreadable")
            return Failure(f"the model cannot be loaded: {reason or f'see {self._log.path}'}")
        _, error = self._log.last_error(since)
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}: {error}"
        return Failure(f"the batch machine {how} ({self._log.path}); the same command goes on where it was")
