"""A batch that is worked off while everything fails: processes die, events come twice, stores answer badly.

Two processes advance it at once, as functions of Lambda may, and each is started again when it has died; a platform
starts its shards on worker processes, which are killed. What is under test are these processes; what they work with
is a ledger and a store that this process opens as well, to see what came of it.
"""

import asyncio
import os
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from functions.batch.workers.processes import Processes
from penstock.batches import open_book
from penstock.batches.protocol import Book
from penstock.batches.records import Batch, Status, new_batch_id
from penstock.clock import SECOND, now_ms
from penstock.ledger import Account, Key, Ledger, open_ledger
from penstock.objects import Objects, open_objects
from tests.integration.batch.chaos.orders import Advance, Work
from tests.integration.batch.chaos.platform import platform
from tests.integration.gpu.stand import CONFIG, SINCE, TICKET_KEYS

ROOT = Path(__file__).parents[4]
ADVANCER = ("-m", "tests.integration.batch.chaos.advancer")
WORKER = ("-m", "tests.integration.batch.chaos.worker")
ADVANCERS = 2


@dataclass(frozen=True)
class Plan:
    """What goes wrong, and how much of it."""

    seed: str
    rate: float  # of calls that fail
    deaths: Mapping[Status, int]  # of advancers, in each state of the batch
    longest_life: Mapping[Status, int]  # calls that a mortal advancer makes in it
    worker_deaths: int
    longest_work: int  # calls that a mortal worker makes
    workers: int = 2
    shard_lines: int = 200


@dataclass
class Havoc:
    """One run of a plan."""

    plan: Plan
    folder: Path
    environment: dict[str, str]
    ledger: Ledger
    book: Book
    objects: Objects
    _chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.plan.seed)

    async def batch_of(self, content: bytes) -> Batch:
        """A new batch of that input, which is dropped in the store."""
        now = now_ms()
        batch = Batch(
            id=new_batch_id(now),
            account_id="acme",
            key_id="key_1",
            endpoint="",
            input_file_id="file-1",
            input_address="incoming/key_1/chaos.jsonl",
            window_s=86_400,
            created_at=now,
            expires_at=now + 86_400 * SECOND,
            output_address="results/key_1/chaos.output.jsonl",
            error_address="results/key_1/chaos.errors.jsonl",
        )
        await self.objects.put(batch.input_address, content)
        assert await self.book.add_batch(batch)
        return batch

    async def work_off(self, batch: Batch) -> Batch:
        """The batch once it is closed, in spite of everything."""
        starts = self.folder / "starts"
        starts.mkdir()
        plan, deaths = self.plan, self.folder / "deaths"
        work = Work(plan.seed, plan.rate, plan.worker_deaths, plan.longest_work, deaths, starts)
        processes = Processes(
            plan.workers,
            {**os.environ, **self.environment, "CHAOS": work.written()},
            command=(sys.executable, *WORKER),
        )
        try:
            async with platform(processes) as port:
                await asyncio.gather(*(self._keep_advancing(batch, port, seat) for seat in range(ADVANCERS)))
        finally:
            await processes.close()
        closed = await self.book.batch(batch.id)
        assert closed is not None
        assert closed.closed
        return closed

    def deaths(self) -> Counter[str]:
        """Of advancers, by the state of the batch, and of workers."""
        return Counter(line.split()[0] for line in self.said_of_deaths().splitlines())

    def said_of_deaths(self) -> str:
        """All that was written down of them."""
        file = self.folder / "deaths"
        return file.read_text(encoding="utf-8") if file.exists() else ""

    def say(self) -> None:
        """For whoever reads a failure: how to have it again, and who died of what."""
        sys.stdout.write(f"PENSTOCK_CHAOS_SEED={self.plan.seed}\n{self.said_of_deaths()}")

    async def _keep_advancing(self, batch: Batch, port: int, seat: int) -> None:
        """An advancer after the other, until the batch is closed."""
        number = 0
        while not ((found := await self.book.batch(batch.id)) and found.closed):
            name = f"{self.plan.seed}/{seat}/{number}"
            orders = Advance(batch.id, port, name, self.plan.rate, self._lives(), self.folder / "deaths")
            status = await self._advance(orders, self.folder / f"advancer-{seat}-{number}.log")
            assert status in (0, -9), (self.folder / f"advancer-{seat}-{number}.log").read_text()
            number += 1

    def _lives(self) -> dict[str, int]:
        """How long the next advancer lives, in each state in which there is still somebody to die."""
        died = self.deaths()
        return {
            status.value: self._chance.randint(2, self.plan.longest_life[status])
            for status, wanted in self.plan.deaths.items()
            if died[status.value] < wanted
        }

    async def _advance(self, orders: Advance, output: Path) -> int:
        with output.open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *ADVANCER,
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env={**os.environ, **self.environment, "CHAOS": orders.written()},
            )
        try:
            return await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


@asynccontextmanager
async def havoc(
    plan: Plan, folder: Path, *, ledger_url: str, objects_url: str, **environment: str
) -> AsyncIterator[Havoc]:
    """Everything that a plan needs. The stores are there, and hold one account with one key."""
    ledger, book, objects = await open_ledger(ledger_url), await open_book(ledger_url), await open_objects(objects_url)
    await ledger.create_account(Account("acme", "Acme", SINCE))
    await ledger.create_key(Key("key_1", "acme", "laptop", "0" * 64, SINCE))
    settings = {
        "PENSTOCK_LEDGER_URL": ledger_url,
        "PENSTOCK_OBJECTS_URL": objects_url,
        "PENSTOCK_CONFIG": str(CONFIG),
        "PENSTOCK_TICKET_KEYS": TICKET_KEYS,
        "PENSTOCK_SHARD_LINES": str(plan.shard_lines),
        "PENSTOCK_SHARD_ATTEMPTS": "100",
        "PENSTOCK_SHARDS_AT_ONCE": str(2 * plan.workers),
        "PENSTOCK_LOG_LEVEL": "warning",
        "PENSTOCK_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }
    try:
        yield Havoc(plan, folder, settings | environment, ledger, book, objects)
    finally:
        await objects.close()
        await book.close()
        await ledger.close()
