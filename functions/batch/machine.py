"""The batch machine of one machine: all batches of one book, worked off by processes that it starts.

`python -P -m functions.batch.machine [--workers N] [--once BATCH_ID] [--progress] [--tether FD]`

What AWS Lambda is woken for by events, this looks for: at each turn every open batch is taken as far as it goes. Its
settings are those of the batch functions, and its workers' those of a GPU process, all from the environment. With
`--once` it ends when that batch is closed, and looks at no other; with `--progress` it says how far that one is, a line
of JSON at a time, on standard output. Logs are lines of JSON on standard error.

Exit status: 0 when it was asked to end (SIGTERM, SIGINT) or the batch is closed; 2 for wrong settings; 3 where the
model cannot be loaded. What was under way goes on with the next start.
"""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import orjson
import structlog

from functions.batch.plant import Plant
from functions.batch.progress import Progress
from functions.batch.tether import end_with
from functions.batch.workers import WorkersBroken
from functions.batch.workers.processes import Processes
from penstock.ledger import LedgerUnavailable
from penstock.logs import configure_logs
from penstock.models import ConfigError
from penstock.objects import ObjectsUnavailable
from penstock.settings import BatchSettings, read_settings

TURN_S = 0.5
AT_ONCE = 8  # batches
WRONG_SETTINGS, UNLOADABLE = 2, 3

log = structlog.get_logger()


class Machine:
    """Takes the batches of a plant on, turn by turn: all that are open, or one."""

    def __init__(self, plant: Plant, once: str | None = None) -> None:
        self._plant = plant
        self._once = once
        self._under_way: dict[str, asyncio.Task[bool]] = {}
        self._closed: set[str] = set()

    async def run(self) -> None:
        """Until it is cancelled, or the one batch is closed. Raises WorkersBroken."""
        try:
            while self._once is None or self._once not in self._closed:
                await self._turn()
                await asyncio.sleep(TURN_S)
        finally:
            for task in self._under_way.values():
                task.cancel()
            await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    async def _turn(self) -> None:
        """Go on with every batch with which nothing is going on: a long step of one keeps no other waiting."""
        self._gather()
        with _passing():
            ids = [self._once] if self._once else await self._plant.book.open_batches()
            for batch_id in ids:
                if batch_id not in self._under_way and len(self._under_way) < AT_ONCE:
                    self._under_way[batch_id] = asyncio.create_task(self._advance(batch_id))
        if self._under_way:
            await asyncio.wait(self._under_way.values(), timeout=TURN_S)
        with _passing():
            await self._plant.batches.fill()

    def _gather(self) -> None:
        for batch_id, task in tuple(self._under_way.items()):
            if task.done():
                del self._under_way[batch_id]
                if task.result():
                    self._closed.add(batch_id)

    async def _advance(self, batch_id: str) -> bool:
        try:
            return await self._plant.batches.advance(batch_id, fill=False)
        except (LedgerUnavailable, ObjectsUnavailable) as error:
            _log_passing(error)
            return False


@contextmanager
def _passing() -> Iterator[None]:
    """What passes by itself: the next turn tries again."""
    try:
        yield
    except (LedgerUnavailable, ObjectsUnavailable) as error:
        _log_passing(error)


def _log_passing(error: Exception) -> None:
    log.warning("turn_failed", error=type(error).__name__, reason=str(error)[:300])


async def report(progress: Progress) -> None:
    """Write how far the batch is, whenever that is news, until this is cancelled."""
    said: dict[str, Any] | None = None
    while True:
        with _passing():
            now = await progress.look()
            if now is not None and now != said:
                print(orjson.dumps(now).decode(), flush=True)  # noqa: T201 (what it is for)
                said = now
        await asyncio.sleep(TURN_S)


async def work(settings: BatchSettings, workers: int, once: str | None, *, with_progress: bool) -> None:
    """Run the machine until it is cancelled or has nothing left to do. Raises WorkersBroken, and as `Plant.open`."""
    if settings.shards_at_once is None:
        settings = settings.model_copy(update={"shards_at_once": 2 * workers})
    plant = await Plant.open(settings, Processes(workers, os.environ), asked_after=0)
    try:
        async with _reporting(plant, once if with_progress else None):
            await Machine(plant, once).run()
    finally:
        await plant.close()


@asynccontextmanager
async def _reporting(plant: Plant, batch_id: str | None) -> AsyncIterator[None]:
    """With the progress of the batch, and a last look at it."""
    if batch_id is None:
        yield
        return
    progress = Progress(batch_id, plant.book, plant.objects)
    reporting = asyncio.create_task(report(progress))
    try:
        yield
    finally:
        reporting.cancel()
        await asyncio.gather(reporting, return_exceptions=True)
    print(orjson.dumps(await progress.look()).decode(), flush=True)  # noqa: T201 (what it is for)


def main() -> int:
    """The command line; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m functions.batch.machine")
    parser.add_argument("--workers", type=_positive, default=1, help="processes of each model")
    parser.add_argument("--once", metavar="BATCH_ID", help="end when this batch is closed")
    parser.add_argument("--progress", action="store_true", help="say how far it is, on standard output")
    parser.add_argument("--tether", type=int, metavar="FD", help="end when this pipe is closed")
    options = parser.parse_args()
    if options.progress and options.once is None:
        parser.error("--progress is of the batch that --once names")
    if options.tether is not None:
        end_with(options.tether)
    configure_logs("batch", "info", to=sys.stderr)
    try:
        settings = read_settings(BatchSettings)
        configure_logs("batch", settings.log_level, to=sys.stderr)
        asyncio.run(_until_asked(work(settings, options.workers, options.once, with_progress=options.progress)))
    except (ConfigError, LedgerUnavailable, ObjectsUnavailable) as error:
        log.error("startup_failed", error=" ".join(str(error).split()))
        return WRONG_SETTINGS
    except WorkersBroken as error:
        log.error("workers_broken", error=str(error))
        return UNLOADABLE
    return 0


async def _until_asked(working: Coroutine[Any, Any, None]) -> None:
    """Work, or end gracefully when asked to."""
    task = asyncio.create_task(working)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    with suppress(asyncio.CancelledError):
        await task


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
