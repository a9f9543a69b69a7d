"""The batch machine as a process, with the demo model: to the end, on from where it was killed, and away when asked."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest

from penstock.batches.records import ShardState, Status
from tests.integration.batch.stand import Stand, input_of, standing
from tests.integration.gpu.stand import TICKET_KEYS

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[3]
PATIENCE_S = 180.0  # a busy machine starts torch slowly


@dataclass
class Machine:
    """One life of it. Its log is kept beside the stores."""

    process: subprocess.Popen[bytes]
    log: Path
    said: list[dict[str, Any]] = field(default_factory=list)

    async def end(self) -> int:
        """Its exit status, waited for."""
        await until(lambda: self.process.poll() is not None, self.log)
        assert self.process.stdout is not None
        self.said.extend(orjson.loads(line) for line in self.process.stdout)
        return self.process.wait()

    def events(self, name: str) -> list[dict[str, Any]]:
        """What its log says of one kind; its workers' logs are among it."""
        lines = [orjson.loads(line) for line in self.log.read_bytes().splitlines() if line.startswith(b"{")]
        return [line for line in lines if line["event"] == name]


async def until(done: Any, log: Path) -> None:
    end = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < end, tail(log)
        await asyncio.sleep(0.05)


def tail(log: Path) -> str:
    """Its last lines."""
    return log.read_text()[-5_000:]


@contextmanager
def machine(stand: Stand, *arguments: str, **changes: str) -> Iterator[Machine]:
    """The machine on the stand's stores; it ends with the tests, and so do its workers."""
    settings = stand.plant.settings
    folder = settings.config.parent
    held, tether = os.pipe()
    environment = {
        "PATH": os.environ["PATH"],
        "OMP_NUM_THREADS": "1",
        "PENSTOCK_LEDGER_URL": settings.ledger_url,
        "PENSTOCK_OBJECTS_URL": settings.objects_url,
        "PENSTOCK_CONFIG": str(settings.config),
        "PENSTOCK_TICKET_KEYS": TICKET_KEYS,
        "PENSTOCK_SHARD_LINES": "20",
        **changes,
    }
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "functions.batch.machine", *arguments, "--tether", str(held)],
            cwd=ROOT,
            env=environment,
            pass_fds=[held],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
    os.close(held)
    with process:
        try:
            yield Machine(process, folder / "log")
        finally:
            os.close(tether)
            process.kill()


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    """The machine's stores, as a test looks at them; the demo model is served."""
    async with standing(tmp_path) as made:
        table = made.plant.settings.config
        table.write_text(table.read_text().replace('source = "somewhere"', f'source = "{ROOT}/models/demo"', 1))
        yield made


async def test_it_works_a_batch_off_and_says_how_far_it_is(stand: Stand) -> None:
    batch_id = await stand.submit(45)
    with machine(stand, "--once", batch_id, "--progress", "--workers", "2") as running:
        assert await running.end() == 0
    batch = await stand.batch(batch_id)
    assert (batch.status, batch.completed, batch.closed) == (Status.COMPLETED, 45, True)
    assert [line["custom_id"] for line in await stand.lines(batch.output_address)] == [
        f"line-{number}" for number in range(1, 46)
    ]
    assert await stand.billed() == (45, batch.usage.total_tokens)
    done = [said["completed"] for said in running.said]
    assert done == sorted(done)
    assert running.said[-1] == {
        "batch": batch_id,
        "status": "completed",
        "lines": 45,
        "completed": 45,
        "failed": 0,
        "tokens": batch.usage.total_tokens,
    }


async def test_killed_in_the_middle_it_goes_on_where_it_was(stand: Stand) -> None:
    batch_id = await stand.submit(60, content=input_of(60).replace(b'"max_tokens":4', b'"max_tokens":64'))

    async def begun() -> bool:
        return any(shard.state is ShardState.DONE for shard in await stand.shards(batch_id))

    with machine(stand, "--once", batch_id) as first:
        end = time.monotonic() + PATIENCE_S
        while not await begun():
            assert time.monotonic() < end, tail(first.log)
            await asyncio.sleep(0.02)
        first.process.kill()
        assert await first.end() == -signal.SIGKILL
    with machine(stand, "--once", batch_id) as second:
        assert await second.end() == 0
    batch = await stand.batch(batch_id)
    assert (batch.status, batch.completed) == (Status.COMPLETED, 60)
    assert [line["custom_id"] for line in await stand.lines(batch.output_address)] == [
        f"line-{number}" for number in range(1, 61)
    ]
    assert await stand.billed() == (60, batch.usage.total_tokens)


@asynccontextmanager
async def at_work(stand: Stand) -> AsyncIterator[tuple[Machine, str]]:
    """A machine that has given a shard to a worker."""
    batch_id = await stand.submit(60, content=input_of(60).replace(b'"max_tokens":4', b'"max_tokens":500'))
    with machine(stand) as running:
        await until(lambda: running.events("shard_started"), running.log)
        yield running, batch_id


async def test_asked_to_end_it_ends_its_workers_and_leaves_the_batch(stand: Stand) -> None:
    async with at_work(stand) as (running, batch_id):
        running.process.send_signal(signal.SIGTERM)
        assert await running.end() == 0
        await until(lambda: gone(running), running.log)
        assert (await stand.batch(batch_id)).status is Status.IN_PROGRESS


async def test_it_ends_with_who_started_it(stand: Stand) -> None:
    async with at_work(stand) as (running, _):
        pass
    assert running.process.poll() is not None
    await until(lambda: gone(running), running.log)


def gone(running: Machine) -> bool:
    """Whether none of its workers is there any more."""
    return not any(Path(f"/proc/{one['pid']}/cmdline").exists() for one in running.events("worker_started"))


async def test_a_model_that_cannot_be_loaded_is_said_in_a_line(stand: Stand) -> None:
    (stand.plant.settings.config.parent / "nothing").mkdir()
    table = stand.plant.settings.config
    table.write_text(table.read_text().replace(f'source = "{ROOT}/models/demo"', 'source = "./nothing"'))
    batch_id = await stand.submit(2)
    with machine(stand, "--once", batch_id) as running:
        assert await running.end() == 3
    (line,) = running.events("workers_broken")
    assert line["error"] == "the model 'demo' cannot be loaded"
    assert (await stand.batch(batch_id)).status is Status.IN_PROGRESS


async def test_wrong_settings_are_said_in_a_line(stand: Stand) -> None:
    with machine(stand, PENSTOCK_OBJECTS_URL="ftp://there") as running:
        assert await running.end() == 2
    (line,) = running.events("startup_failed")
    assert line["error"].startswith("PENSTOCK_OBJECTS_URL: ")
