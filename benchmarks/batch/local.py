"""Batches on this machine: what `penstock batch run` does, with the machine in this process and its workers beside it.

The workers live for as long as the context, and have their model before anything is timed.
"""

import os
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from benchmarks.batch.questions import PATH, as_input, questions
from benchmarks.batch.turn import Processors, Turn, descendants
from benchmarks.failure import BenchmarkFailed
from functions.batch.machine import Machine
from functions.batch.plant import Plant
from functions.batch.workers.processes import COMMAND, Processes
from penstock.batches.records import Batch, Status, new_batch_id
from penstock.clock import SECOND, now_ms
from penstock.ledger import Account, Key
from penstock.settings import BatchSettings
from tests.integration.gpu.stand import CONFIG, TICKET_KEYS

INSTANT = (sys.executable, "-m", "benchmarks.batch.instant_worker")
ROOT = Path(__file__).parents[2]
WINDOW_S = 86_400


class LocalBatches:
    """One machine with its workers, all of them started."""

    def __init__(self, plant: Plant, pids: Sequence[int]) -> None:
        self._plant = plant
        self._pids = pids

    async def answer(self, bodies: Sequence[dict[str, Any]]) -> Turn:
        """Have them answered as one batch. Raises BenchmarkFailed where not all are."""
        processors = Processors({"machine": [os.getpid()], "workers": self._pids})
        begun = time.monotonic()
        batch = await run(self._plant, bodies)
        seconds, cpu = time.monotonic() - begun, processors.used()
        return Turn(len(bodies), batch.usage.total_tokens, seconds, cpu, _steps(batch))


@asynccontextmanager
async def local_batches(
    folder: Path, workers: int, *, shard_lines: int, threads: int = 1, instant: bool = False
) -> AsyncIterator[LocalBatches]:
    """So many workers, in a new folder, each of so many threads."""
    settings = _settings(folder, workers, shard_lines)
    processes = Processes(
        workers, _environment(settings, threads), command=INSTANT if instant else COMMAND, idle_s=WINDOW_S
    )
    others = set(descendants())
    plant = await Plant.open(settings, processes, asked_after=0)
    try:
        await plant.ledger.create_account(Account("bench", "bench", 1))
        await plant.ledger.create_key(Key("bench", "bench", "bench", "0" * 64, 1))
        await run(plant, questions(2 * workers * shard_lines, 1))
        pids = [pid for pid in descendants() if pid not in others]
        if pids and len(pids) < workers:
            raise BenchmarkFailed(f"{len(pids)} of {workers} workers are running")
        yield LocalBatches(plant, pids)
    finally:
        await plant.close()


async def run(plant: Plant, bodies: Sequence[dict[str, Any]]) -> Batch:
    """A batch of these bodies, closed. Raises BenchmarkFailed where not all were answered."""
    now = now_ms()
    batch = Batch(
        id=new_batch_id(now),
        account_id="bench",
        key_id="bench",
        endpoint=PATH,
        input_file_id="file-bench",
        input_address="files/bench/input",
        window_s=WINDOW_S,
        created_at=now,
        expires_at=now + WINDOW_S * SECOND,
        output_address="files/bench/output",
        error_address="files/bench/errors",
    )
    await plant.objects.put(batch.input_address, as_input(bodies))
    await plant.book.add_batch(batch)
    await Machine(plant, batch.id).run()
    closed = await plant.book.batch(batch.id)
    if closed is None or closed.status is not Status.COMPLETED or closed.completed != len(bodies):
        raise BenchmarkFailed(f"the batch was not answered: {closed}")
    return closed


def _settings(folder: Path, workers: int, shard_lines: int) -> BatchSettings:
    folder.mkdir()
    return BatchSettings(
        ledger_url=f"sqlite:///{folder / 'ledger.db'}",
        objects_url=(folder / "objects").as_uri(),
        config=CONFIG,
        shard_lines=shard_lines,
        shards_at_once=2 * workers,
    )


def _environment(settings: BatchSettings, threads: int) -> Mapping[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PENSTOCK_LEDGER_URL": settings.ledger_url,
        "PENSTOCK_OBJECTS_URL": settings.objects_url,
        "PENSTOCK_CONFIG": str(CONFIG),
        "PENSTOCK_TICKET_KEYS": TICKET_KEYS,
        "PENSTOCK_LOG_LEVEL": "warning",
        "PENSTOCK_THREADS": str(threads),
        "OMP_NUM_THREADS": str(threads),
    }


def _steps(batch: Batch) -> dict[str, float]:
    """Seconds of each, by the batch's own times."""
    times = (batch.created_at, batch.in_progress_at, batch.finalizing_at, batch.ended_at)
    known = [one for one in times if one is not None]
    names = ("validating", "working", "joining")
    return {name: (until - since) / SECOND for name, since, until in zip(names, known, known[1:], strict=False)}
