"""Worker processes of this machine: as many as may be, started when needed, ended when idle; what dies has failed."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from functions.batch.workers import CallState, WorkersBroken, WorkersUnavailable
from functions.batch.workers.processes import Processes
from penstock.batches.orders import Order

pytestmark = pytest.mark.anyio

SCRIPT = str(Path(__file__).with_name("scripted_worker.py"))
ANSWERS, FAILS, HANGS, DIES, IS_UNCLEAR, CANNOT_LOAD, BABBLES = range(7)
PATIENCE_S = 30.0


def order(shard: int, model: str = "demo") -> Order:
    return Order("batch_1", shard, model, "acme", "key", 10**15)


@asynccontextmanager
async def processes(most: int = 1, *arguments: str, **options: Any) -> AsyncIterator[Processes]:
    made = Processes(most, {"PATH": os.environ["PATH"]}, command=(sys.executable, "-P", SCRIPT, *arguments), **options)
    try:
        yield made
    finally:
        await made.close()


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not done():
            await asyncio.sleep(0.01)


async def over(workers: Processes, call: str) -> CallState:
    """What becomes of the call."""
    async with asyncio.timeout(PATIENCE_S):
        while (state := await workers.state("demo", call)) is CallState.RUNNING:
            await asyncio.sleep(0.01)
    return state


def pids(workers: Processes, model: str = "demo") -> list[int]:
    return [one.pid for one in workers._of_model.get(model, [])]


@pytest.mark.parametrize(
    ("shard", "state"),
    [
        (ANSWERS, CallState.ENDED),
        (FAILS, CallState.FAILED),
        (DIES, CallState.FAILED),
        (IS_UNCLEAR, CallState.ENDED),
        (BABBLES, CallState.FAILED),
    ],
)
async def test_a_call_comes_to_what_its_process_says(shard: int, state: CallState) -> None:
    async with processes() as workers:
        assert await over(workers, await workers.start(order(shard))) is state


async def test_one_that_died_takes_its_other_calls_with_it_and_the_next_order_starts_another() -> None:
    async with processes() as workers:
        waiting = await workers.start(order(HANGS))
        assert await workers.state("demo", waiting) is CallState.RUNNING
        (dead,) = pids(workers)
        await workers.start(order(DIES))
        assert await over(workers, waiting) is CallState.FAILED
        await until(lambda: not pids(workers))
        assert await over(workers, await workers.start(order(ANSWERS))) is CallState.ENDED
        assert pids(workers) != [dead]


async def test_there_are_no_more_processes_than_there_may_be_and_each_has_its_share() -> None:
    async with processes(2) as workers:
        await asyncio.gather(*(workers.start(order(HANGS)) for _ in range(4)))
        await asyncio.gather(*(workers.start(order(HANGS, "other")) for _ in range(1)))
        assert [len(one.calls) for one in workers._of_model["demo"]] == [2, 2]
        assert len(pids(workers, "other")) == 1


async def test_a_cancelled_call_has_failed() -> None:
    async with processes() as workers:
        call = await workers.start(order(HANGS))
        await workers.cancel("demo", call)
        assert await over(workers, call) is CallState.FAILED
        await workers.cancel("demo", call)


async def test_a_call_that_nobody_knows_has_failed() -> None:
    async with processes() as workers:
        assert await workers.state("demo", "local-1-1") is CallState.FAILED


async def test_an_idle_process_ends_and_a_busy_one_does_not() -> None:
    async with processes(idle_s=0.05) as workers:
        assert await over(workers, await workers.start(order(ANSWERS))) is CallState.ENDED
        await until(lambda: not workers._watching)
        await workers.start(order(HANGS))
        await over(workers, await workers.start(order(ANSWERS)))
        await asyncio.sleep(0.2)
        assert len(workers._watching) == 1


async def test_a_model_that_cannot_be_loaded_is_told_and_nothing_is_started_any_more() -> None:
    async with processes() as workers:
        await workers.start(order(CANNOT_LOAD))
        with pytest.raises(WorkersBroken, match=r"^the model 'demo' cannot be loaded$"):
            await until_broken(workers)
        with pytest.raises(WorkersBroken):
            await workers.start(order(ANSWERS))


async def until_broken(workers: Processes) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            await workers.state("demo", "any")
            await asyncio.sleep(0.01)


async def test_a_process_that_does_not_end_when_it_is_told_to_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    from functions.batch.workers import processes as module

    monkeypatch.setattr(module, "ENDS_WITHIN_S", 0.2)
    async with processes(1, "stubborn") as workers:
        await workers.start(order(HANGS))
        (pid,) = pids(workers)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_what_cannot_be_started_is_unavailable() -> None:
    workers = Processes(1, {}, command=("/nowhere/python",))
    with pytest.raises(WorkersUnavailable, match="no worker process can be started"):
        await workers.start(order(ANSWERS))
