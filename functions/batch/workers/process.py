"""One worker process: orders in, answers out, one line of JSON each.

    in    {"id": "...", "order": {...}}
    out   {"ready": true}    {"id": "...", "outcome": {...}}    {"id": "...", "error": {"message": ..., "code": ...}}

It ends where its standard input does, after what it has under way.
"""

import asyncio
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import orjson
import structlog

from functions.batch.workers.protocol import CallState
from penstock.batches.orders import Order

MAX_ANSWER = 1 << 20  # bytes of a line
ENDS_WITHIN_S = 20.0  # once it was told to; then it is killed

log = structlog.get_logger()


class WorkerProcess:
    """A running process. `over` is told of each call that has ended, also where the process died with it."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        orders: asyncio.StreamWriter,
        answers: asyncio.StreamReader,
        over: Callable[[str, CallState], None],
    ) -> None:
        self.calls: set[str] = set()  # under way
        self.idle_since = 0.0  # by the monotonic clock, where nothing is
        self.told_to_end = False
        self.pid = process.pid
        self._process = process
        self._orders = orders
        self._answers = answers
        self._over = over

    @classmethod
    async def begin(
        cls, command: Sequence[str], environment: Mapping[str, str], over: Callable[[str, CallState], None]
    ) -> "WorkerProcess":
        """Start it, in a session of its own: a terminal's Ctrl-C is for who started all of this. Raises OSError."""
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment,
            start_new_session=True,
            limit=MAX_ANSWER,
        )
        if process.stdin is None or process.stdout is None:
            raise OSError("the process has no pipes")
        return cls(process, process.stdin, process.stdout, over)

    def take(self, call: str, order: Order) -> None:
        """Give it an order. Where it has died the call fails with it."""
        self.calls.add(call)
        self._orders.write(orjson.dumps({"id": call, "order": order.written()}) + b"\n")

    async def watch(self) -> int:
        """Read what it says until it ends; its exit status. What it had under way then has failed."""
        try:
            async for line in self._answers:
                self._hear(line)
        except ValueError:  # a line without an end: it is beyond help
            self.kill()
        status = await self._ended()
        for call in tuple(self.calls):
            self._end(call, CallState.FAILED)
        return status

    async def _ended(self) -> int:
        """The exit status of one that says nothing more; a large one takes its time to go, and means its status."""
        with suppress(TimeoutError):
            return await asyncio.wait_for(self._process.wait(), ENDS_WITHIN_S)
        self.kill()
        return await self._process.wait()

    def tell_to_end(self) -> None:
        """Let it end what it has under way, and itself."""
        self.told_to_end = True
        self._orders.close()

    def kill(self) -> None:
        """End it at once."""
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL)

    def _hear(self, line: bytes) -> None:
        try:
            said = orjson.loads(line)
            call = said.get("id")
        except (orjson.JSONDecodeError, AttributeError):
            log.warning("worker_unclear", pid=self.pid)
            return
        if call not in self.calls:
            return
        if "error" in said:
            log.warning("shard_failed", pid=self.pid, call=call, reason=said["error"])
        self._end(call, CallState.FAILED if "error" in said else CallState.ENDED)

    def _end(self, call: str, state: CallState) -> None:
        self.calls.discard(call)
        self._over(call, state)
