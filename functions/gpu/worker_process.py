"""A worker as a process of its own, for one machine: `python -m functions.gpu.worker_process`

The model and everything else come from the environment, as for a server. It speaks JSON, one object a line:

    stdout   {"ready": true, "model": "demo", "seconds": 3.1}        once the model is loaded
    stdin    {"id": "7", "order": {...}}                             an order (penstock.batches.orders), as often as
                                                                     there is one; several are worked on at once
    stdout   {"id": "7", "outcome": {...}}                           when it is carried out, or
             {"id": "7", "error": {"message": ..., "code": ...}}     when it was not

It ends when its standard input does, or with SIGTERM: what runs is left to other workers, with what was done of it.
So it outlives whoever started it by seconds at most. Where it cannot start, one line in the log says why, and its exit
code is 3. The log is standard error.
"""

import asyncio
import os
import signal
import sys
import threading
import time
from typing import Any, BinaryIO

import orjson
import structlog

from functions.gpu.process import Process
from functions.gpu.server import app_of
from functions.gpu.worker import Worker, open_worker
from penstock.errors import ApiError, BadRequest, Internal
from penstock.models import ConfigError
from penstock.objects import ObjectsUnavailable

CANNOT_START = 3
MOST_ORDER = 64 << 10  # bytes of a line of input
MOST_ORDERS = 1_000  # at once
END_WITHIN_S = 60.0  # from the end of its input; then it is ended whatever it does

log = structlog.get_logger()


class Conversation:
    """Orders that come, and what is answered."""

    def __init__(self, worker: Worker, answers: BinaryIO) -> None:
        self._worker = worker
        self._answers = answers
        self._under_way: set[asyncio.Task[None]] = set()

    async def hold(self, orders: asyncio.StreamReader) -> None:
        """Take orders until there are no more."""
        while True:
            try:
                line = await orders.readline()
            except ValueError:
                self.say({"id": None, "error": _told(BadRequest(f"An order has at most {MOST_ORDER} bytes."))})
                continue
            if not line.endswith(b"\n"):
                return
            task = asyncio.create_task(self._carry_out(line))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def over(self) -> None:
        """Wait until all is answered."""
        if self._under_way:
            await asyncio.wait(set(self._under_way))

    def say(self, said: dict[str, Any]) -> None:
        """Write a line. Whoever does not read it any more will soon end the input, too."""
        try:
            self._answers.write(orjson.dumps(said, option=orjson.OPT_APPEND_NEWLINE))
            self._answers.flush()
        except OSError:
            log.warning("unheard")

    async def _carry_out(self, line: bytes) -> None:
        name = None
        try:
            name, order = _read(line)
            if len(self._under_way) > MOST_ORDERS:
                raise BadRequest(f"At most {MOST_ORDERS} orders are carried out at once.")
            self.say({"id": name, "outcome": await self._worker.run(order)})
        except ApiError as error:
            self.say({"id": name, "error": _told(error)})
        except asyncio.CancelledError:
            self.say({"id": name, "error": {"message": "The worker is stopping.", "code": "gpu_stopping"}})
        except Exception as error:
            log.error("order_crashed", exc_info=error)
            self.say({"id": name, "error": _told(Internal("Something went wrong on our side."))})


def main() -> None:
    """Serve until the input ends."""
    began = time.monotonic()
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever else is printed, by whomever, is log
    sys.exit(asyncio.run(_work(answers, began)))


async def _work(answers: BinaryIO, began: float) -> int:
    process = Process()
    if not await process.start():
        return CANNOT_START
    try:
        worker = await open_worker(app_of(process), process)
    except (ConfigError, ObjectsUnavailable) as error:
        log.error("startup_failed", error=" ".join(str(error).split()))
        await process.stop()
        return CANNOT_START
    conversation = Conversation(worker, answers)
    model = process.service().model.name
    conversation.say({"ready": True, "model": model, "seconds": round(time.monotonic() - began, 3)})
    await _until_told(conversation)
    _end_surely()
    await worker.close()
    await conversation.over()
    await process.stop()
    return 0


async def _until_told(conversation: Conversation) -> None:
    """Until the input ends, or a signal comes."""
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    orders = asyncio.StreamReader(limit=MOST_ORDER)
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    talking, signalled = asyncio.create_task(conversation.hold(orders)), asyncio.create_task(told.wait())
    await asyncio.wait({talking, signalled}, return_when=asyncio.FIRST_COMPLETED)
    for task in (talking, signalled):
        task.cancel()
    await asyncio.wait({talking, signalled})
    transport.close()


def _end_surely() -> None:
    timer = threading.Timer(END_WITHIN_S, os._exit, [1])
    timer.daemon = True
    timer.start()


def _read(line: bytes) -> tuple[str, Any]:
    """Raises BadRequest."""
    try:
        said = orjson.loads(line)
        return str(said["id"]), said["order"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise BadRequest('A line of the input is {"id": ..., "order": {...}}.') from None


def _told(error: ApiError) -> dict[str, Any]:
    return {"message": error.message, "code": error.code}


if __name__ == "__main__":
    main()
