"""The whole benchmark: the same lines as batches, with more and more workers, and over HTTP; all have their turns.

Beside it, what a batch's line costs without its answer: the same again with an engine that answers at once.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.batch.local import local_batches
from benchmarks.batch.over_http import over_http
from benchmarks.batch.questions import questions
from benchmarks.batch.tables import Turns, overhead_table, steps_table, throughput_table
from benchmarks.batch.turn import Turn
from benchmarks.failure import BenchmarkFailed
from benchmarks.report import Report, Table
from penstock.logs import configure_logs

Way = Callable[[], Awaitable[Turn]]


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    rounds: int
    lines: int  # of a batch, and of what is sent many at once
    alone: int  # that are sent one after the other
    instant: int  # for the engine that answers at once
    tokens: int  # of an answer
    workers: tuple[tuple[int, int], ...]  # processes, and threads of each
    shard_lines: int
    at_once: int = 64


FULL = Plan(
    rounds=3, lines=800, alone=60, instant=4_000, tokens=16, workers=((1, 1), (2, 1), (4, 1), (1, 2)), shard_lines=100
)
QUICK = Plan(rounds=1, lines=40, alone=4, instant=80, tokens=4, workers=((1, 1),), shard_lines=10, at_once=8)


def measure(quick: bool, say: Callable[[str], None]) -> Report:
    """Measure batches on this machine. `say` is told what goes on. Raises BenchmarkFailed."""
    plan, begun = QUICK if quick else FULL, time.monotonic()
    configure_logs("batch", "warning", to=sys.stderr)
    try:
        with tempfile.TemporaryDirectory(prefix="penstock-bench-") as name:
            tables = asyncio.run(_compare(Path(name), plan, say))
    except AssertionError as error:  # the service that is asked over HTTP says so, as it does in tests
        raise BenchmarkFailed(str(error)) from error
    return Report("batch", quick, tables, time.monotonic() - begun)


async def _compare(folder: Path, plan: Plan, say: Callable[[str], None]) -> list[Table]:
    bodies = questions(plan.lines, plan.tokens)
    async with AsyncExitStack() as stack:
        ways: dict[str, Way] = {}
        for workers, threads in plan.workers:
            name = f"batch, {workers} worker{'s' * (workers > 1)}" + f" of {threads} threads" * (threads > 1)
            say(f"{name}: starting ...")
            batches = await stack.enter_async_context(
                local_batches(folder / f"{workers}x{threads}", workers, shard_lines=plan.shard_lines, threads=threads)
            )
            ways[name] = partial(batches.answer, bodies)
        say("penstock serve: starting ...")
        service = await stack.enter_async_context(over_http(folder))
        ways[f"HTTP, {plan.at_once} at once"] = partial(service.answer, bodies, plan.at_once)
        ways["HTTP, one by one"] = partial(service.answer, bodies[: plan.alone], 1)
        await service.answer(bodies[: plan.at_once], plan.at_once)  # makes connections; workers are warm
        turns = await _by_turns(ways, plan.rounds, say)
    instant = await _instant(folder, plan, say)
    return [throughput_table(turns), steps_table(turns), overhead_table(instant)]


async def _instant(folder: Path, plan: Plan, say: Callable[[str], None]) -> Turns:
    """Batches whose answers take no time, with one worker."""
    say("an engine that answers at once: starting ...")
    bodies = questions(plan.instant, plan.tokens)
    async with local_batches(folder / "instant", 1, shard_lines=plan.shard_lines * 10, instant=True) as batches:
        return await _by_turns({"one worker": partial(batches.answer, bodies)}, plan.rounds, say)


async def _by_turns(ways: Mapping[str, Way], rounds: int, say: Callable[[str], None]) -> Turns:
    done: dict[str, list[Turn]] = {name: [] for name in ways}
    for number in range(rounds):
        for name in reversed(list(ways)) if number % 2 else ways:
            say(f"round {number + 1}: {name} ...")
            done[name].append(await ways[name]())
    return done
