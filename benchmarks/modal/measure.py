"""The whole benchmark: cold, one after another, many at once; in each round all ways have their turn."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import aiohttp

from benchmarks.failure import BenchmarkFailed
from benchmarks.modal.admission import Admission, enrol, served
from benchmarks.modal.answers import PATIENCE, ask, at_once, cold, one_by_one
from benchmarks.modal.servers import Deployed, own_process
from benchmarks.modal.tables import cold_table, cpu_table, crowd_table, first_table, whole_table
from benchmarks.modal.ways import GATE, PROCESS, Http, Raw, Sdk, Way
from benchmarks.report import Report, Table
from penstock.ledger import open_ledger
from tests.integration.gpu.stand import TICKET_KEYS
from tests.integration.modal.cloud import LEDGER, Cloud, deployed
from tests.servers.process import StartFailed

T = TypeVar("T")
MODEL = "demo"
ACCOUNTS = 16  # as many streams as may wait are then never refused (functions/gpu/engine/places.py)


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    cold_rounds: int
    rounds: int
    answers: int  # of each way in a round, one after another
    crowd_rounds: int
    streams: int  # of each way in a round, at once
    tokens: int  # of an answer


# Turns are short, so that no container is idle for as long as it is kept.
FULL = Plan(cold_rounds=3, rounds=10, answers=10, crowd_rounds=4, streams=32, tokens=64)
QUICK = Plan(cold_rounds=1, rounds=1, answers=2, crowd_rounds=1, streams=4, tokens=16)


def measure(quick: bool, say: Callable[[str], None]) -> Report:
    """Measure the ways to a deployed model. `say` is told what goes on. Raises BenchmarkFailed."""
    plan, begun = QUICK if quick else FULL, time.monotonic()
    say("deploying ...")
    try:
        with tempfile.TemporaryDirectory(prefix="penstock-bench-") as name, deployed(Path(name)) as cloud:
            tables = asyncio.run(compare(cloud, plan, say))
    except (StartFailed, AssertionError) as error:  # what stands in for AWS and Modal says so, as it does in tests
        raise BenchmarkFailed(str(error)) from error
    return Report("modal", quick, tables, time.monotonic() - begun)


async def compare(cloud: Cloud, plan: Plan, say: Callable[[str], None]) -> list[Table]:
    """The tables, of what is deployed. Raises BenchmarkFailed."""
    request = {
        "model": MODEL,
        "messages": [{"role": "user", "content": "How does water get to the turbine?"}],
        "max_tokens": plan.tokens,
        "temperature": 0,
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    async with _ways(cloud) as ways:
        say("cold starts ...")
        first = await _by_turns(ways, plan.cold_rounds, lambda way: cold(way, request))
        say("one after another ...")
        for way in ways:
            await asyncio.gather(*(ask(way, request) for _ in range(plan.streams)))  # makes connections and caches
        alone = await _by_turns(ways, plan.rounds, lambda way: one_by_one(way, request, plan.answers))
        say(f"{plan.streams} at once ...")
        crowd = await _by_turns(ways, plan.crowd_rounds, lambda way: at_once(way, request, plan.streams))
    return [cold_table(first), first_table(alone), whole_table(alone), cpu_table(alone), crowd_table(crowd)]


@asynccontextmanager
async def _ways(cloud: Cloud) -> AsyncIterator[list[Way]]:
    ledger, model = await open_ledger(LEDGER), served(cloud.table, MODEL)
    try:
        keys = await enrol(ledger, ACCOUNTS)
        revealed = [key.reveal() for key in keys]
        gate, generator, url = Deployed(cloud, "Gate"), Deployed(cloud, "Generator"), cloud.gate(MODEL)
        proxy = dict(zip(("Modal-Key", "Modal-Secret"), cloud.plane.credentials, strict=True))
        async with AsyncExitStack() as stack:
            process = stack.enter_context(own_process(cloud, model))
            http = await stack.enter_async_context(_http())
            sdk = [await stack.enter_async_context(cloud.direct(MODEL, api_key=key)) for key in revealed]
            asked = partial(Http, http=http, admissions=[Admission(ledger, model, key.id, TICKET_KEYS) for key in keys])
            yield [
                asked(PROCESS, server=process, url=lambda: process.url),
                asked(GATE, server=gate, url=lambda: url, headers=proxy),
                Sdk(generator, sdk),
                Raw(generator, cloud.generator(MODEL), revealed),
            ]
    finally:
        await ledger.close()


def _http() -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(limit=0)
    return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=PATIENCE))


async def _by_turns(ways: list[Way], rounds: int, turn: Callable[[Way], Awaitable[T]]) -> dict[str, list[T]]:
    done: dict[str, list[T]] = {way.name: [] for way in ways}
    for number in range(rounds):
        for way in reversed(ways) if number % 2 else ways:
            done[way.name].append(await turn(way))
    return done
