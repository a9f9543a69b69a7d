"""Workers of this machine: processes that take a model's shards, started when there are some.

Each is `python -m functions.gpu.worker_process` with this process's environment and a model's name. One that has had
nothing to do for a while is told to end, as all are with this process. What a process had when it died has failed, and
the next order starts another; where a model cannot be loaded at all, nothing can be started any more.
"""

import asyncio
import os
import sys
import time
from collections.abc import Mapping, Sequence
from itertools import count

import structlog

from functions.batch.workers.process import ENDS_WITHIN_S, WorkerProcess
from functions.batch.workers.protocol import CallState, WorkersBroken, WorkersUnavailable
from penstock.batches.orders import Order

COMMAND = (sys.executable, "-P", "-m", "functions.gpu.worker_process")
IDLE_S = 60.0
UNLOADABLE = 3  # the exit status of a process whose model cannot be loaded
MOST_KNOWN = 10_000  # calls that have ended

log = structlog.get_logger()


class Processes:
    """Up to `most` processes of each model. What they write to standard error is this process's."""

    def __init__(
        self,
        most: int,
        environment: Mapping[str, str],
        *,
        command: Sequence[str] = COMMAND,
        idle_s: float = IDLE_S,
    ) -> None:
        self._most = most
        self._environment = environment
        self._command = command
        self._idle_s = idle_s
        self._of_model: dict[str, list[WorkerProcess]] = {}
        self._watching: dict[asyncio.Task[None], WorkerProcess] = {}
        self._calls: dict[str, WorkerProcess] = {}  # under way
        self._ended: dict[str, CallState] = {}  # the oldest first
        self._numbers = count(1)
        self._broken: str | None = None
        self._one_at_a_time = asyncio.Lock()

    async def start(self, order: Order) -> str:
        """Give the order to the process that has least to do, or to a new one."""
        self._check()
        call = f"local-{os.getpid()}-{next(self._numbers)}"
        async with self._one_at_a_time:
            process = await self._free(order.model)
            self._calls[call] = process
            process.take(call, order)
        return call

    async def state(self, model: str, call: str) -> CallState:
        """RUNNING, as long as its process lives and has not answered."""
        self._check()
        return CallState.RUNNING if call in self._calls else self._ended.get(call, CallState.FAILED)

    async def cancel(self, model: str, call: str) -> None:
        """Kill its process. What else that had fails, too, and is started again."""
        if call in self._calls:
            self._calls[call].kill()

    async def close(self) -> None:
        """Tell all processes to end, and see to it that they do."""
        for process in self._watching.values():
            process.tell_to_end()
        if self._watching:
            _, late = await asyncio.wait(self._watching, timeout=ENDS_WITHIN_S)
            for task in late:
                self._watching[task].kill()
            await asyncio.gather(*self._watching)

    def _check(self) -> None:
        if self._broken is not None:
            raise WorkersBroken(self._broken)

    async def _free(self, model: str) -> WorkerProcess:
        processes = self._of_model.setdefault(model, [])
        least = min(processes, key=lambda process: len(process.calls), default=None)
        if least is not None and (not least.calls or len(processes) >= self._most):
            return least
        try:
            begun = await WorkerProcess.begin(self._command, {**self._environment, "PENSTOCK_MODEL": model}, self._over)
        except OSError as error:
            raise WorkersUnavailable(f"no worker process can be started: {error}") from None
        processes.append(begun)
        watching = asyncio.create_task(self._watch(model, begun))
        self._watching[watching] = begun
        watching.add_done_callback(self._watching.pop)
        log.info("worker_started", model=model, pid=begun.pid)
        return begun

    async def _watch(self, model: str, process: WorkerProcess) -> None:
        status = await process.watch()
        self._forget(model, process)
        log.info("worker_ended", model=model, pid=process.pid, status=status)
        if status == UNLOADABLE:
            self._broken = f"the model {model!r} cannot be loaded"

    def _over(self, call: str, state: CallState) -> None:
        process = self._calls.pop(call)
        self._ended[call] = state
        while len(self._ended) > MOST_KNOWN:
            del self._ended[next(iter(self._ended))]
        if not process.calls:
            process.idle_since = time.monotonic()
            asyncio.get_running_loop().call_later(self._idle_s, self._end_idle, process)

    def _end_idle(self, process: WorkerProcess) -> None:
        if not process.calls and time.monotonic() - process.idle_since >= self._idle_s:
            for processes in self._of_model.values():
                if process in processes:
                    processes.remove(process)
                    process.tell_to_end()

    def _forget(self, model: str, process: WorkerProcess) -> None:
        if process in self._of_model[model]:
            self._of_model[model].remove(process)
