"""The process in which the handler is invoked, as Lambda does: one event after another, on one event loop.

`python -m benchmarks.edge.invocations ROUNDS REQUESTS UPSTREAM API_KEY RESULT`, with the edge's settings in
the environment. In each round every subject has its turn of so many requests; every other round goes in
reverse order. RESULT becomes a JSON file: for each subject, a number for each round.
"""

import argparse
import asyncio
import os
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import aiohttp
import orjson
from mangum import Mangum

import functions.edge.app
from benchmarks.edge import echo, events
from benchmarks.edge.rig import close_leases
from benchmarks.edge.stopwatch import Stopwatch
from functions.edge.handler import handler
from penstock import admission, keys
from penstock.clock import now_ms
from penstock.ledger import Ledger, Reserved, open_ledger
from penstock.models import read_models
from penstock.schemas import read_chat_request
from penstock.settings import EdgeSettings, read_settings

_PAGE = 4_096  # bytes, as SQLite's
_COMMIT = 4  # pages that a reservation adds to SQLite's log
_LOG = 1_000  # pages, after which SQLite writes its log from the beginning again


@dataclass(frozen=True, slots=True)
class Subject:
    """What is measured: one request at a time. `during` is around its turns."""

    name: str
    request: Callable[[], None]
    during: AbstractContextManager[Any] = field(default_factory=nullcontext)


def invoked(name: str, to: Mangum, event: dict[str, Any], during: AbstractContextManager[Any] | None = None) -> Subject:
    """An invocation of a handler. What is not answered 200 ends the benchmark."""

    def request() -> None:
        answer = to(event, None)  # type: ignore[arg-type] # neither handler reads the context
        if answer["statusCode"] != 200:
            raise RuntimeError(f"{name}: answered {answer['statusCode']}: {answer['body'][:400]}")

    return Subject(name, request, during or nullcontext())


def awaited(name: str, loop: asyncio.AbstractEventLoop, work: Callable[[], Awaitable[object]]) -> Subject:
    """Work of the event loop, run to its end from outside as Mangum runs the app."""

    async def once() -> None:
        await work()

    return Subject(name, lambda: loop.run_until_complete(once()))


def ledger_subjects(loop: asyncio.AbstractEventLoop, ledger: Ledger, api_key: str) -> Iterator[Subject]:
    """What the policies ask of the ledger, without the policies."""
    settings = read_settings(EdgeSettings)
    model = read_models(settings.config).models[0]
    key = keys.parse(api_key)
    caller = loop.run_until_complete(ledger.caller(key.id)) if key else None
    if key is None or caller is None:
        raise ValueError("the API key is not in the ledger")
    key_id, known = key.id, caller
    call = read_chat_request(events.CHAT)
    demand = admission.Demand(call.prompt_bytes, len(call.messages), call.limit)

    async def reserve() -> None:
        outcome = await admission.admit(
            ledger, known, model, demand, request_id=admission.new_request_id(), now=now_ms(), claim_within_s=300
        )
        if not isinstance(outcome, Reserved):
            raise RuntimeError("a reservation was refused")

    yield awaited("look-up", loop, lambda: ledger.caller(key_id))
    yield awaited("reserve", loop, reserve)


@contextmanager
def flush(directory: Path) -> Iterator[Subject]:
    """Write what a reservation writes, and flush it: the disk's part of the reservation."""
    pages, place = os.urandom(_COMMIT * _PAGE), 0
    sync = getattr(os, "fdatasync", os.fsync)
    with (directory / "flushed").open("wb") as file:
        file.write(bytes(_LOG * _PAGE))
        file.flush()

        def write() -> None:
            nonlocal place
            os.pwrite(file.fileno(), pages, place)
            sync(file.fileno())
            place = (place + len(pages)) % (_LOG * _PAGE)

        yield Subject("flush", write)


async def ask(http: aiohttp.ClientSession, upstream: str) -> None:
    """The upstream, asked without an edge."""
    async with http.post(f"{upstream}/v1/chat/completions", data=events.CHAT) as response:
        await response.read()


def run(
    subjects: Sequence[Subject], stopwatch: Stopwatch, rounds: int, requests: int, clear: Callable[[], None]
) -> Any:
    """All rounds, after one that is not counted. Microseconds: `wall` is a round's median, `cpu` its mean."""
    taken: dict[str, dict[str, list[float]]] = {}
    parts: defaultdict[str, list[float]] = defaultdict(list)
    for number in range(rounds + 1):
        for subject in subjects if number % 2 else reversed(subjects):
            clear()
            stopwatch.parts.clear()
            wall, cpu = turn(subject, requests)
            if number:
                kept = taken.setdefault(subject.name, {"wall": [], "cpu": []})
                kept["wall"].append(wall)
                kept["cpu"].append(cpu)
                for part, times in stopwatch.parts.items():
                    parts[part].append(median(times))
    return {"subjects": taken, "parts": parts}


def turn(subject: Subject, requests: int) -> tuple[float, float]:
    """One turn: the median wall time of a request and the mean CPU time of the process, in microseconds."""
    times = []
    with subject.during:
        cpu = time.process_time_ns()
        for _ in range(requests):
            begun = time.perf_counter_ns()
            subject.request()
            times.append(time.perf_counter_ns() - begun)
        cpu = time.process_time_ns() - cpu
    return median(times) / 1_000, cpu / requests / 1_000


def main() -> None:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("rounds", type=int)
    parser.add_argument("requests", type=int)
    parser.add_argument("upstream")
    parser.add_argument("api_key")
    parser.add_argument("result", type=Path)
    options = parser.parse_args()
    loop = asyncio.get_event_loop()  # the one that Mangum has set, and uses
    ledger = loop.run_until_complete(open_ledger(read_settings(EdgeSettings).ledger_url))
    http = loop.run_until_complete(_session())
    stopwatch = Stopwatch()
    chat = events.chat(options.api_key)
    timed = patch.object(functions.edge.app, "follow", stopwatch.follow)
    with flush(options.result.parent) as flushed:
        subjects = [
            invoked("echo", echo.handler, chat),
            invoked("models", handler, events.models(options.api_key)),
            invoked("chat", handler, chat),
            invoked("timed chat", handler, chat, during=timed),
            *ledger_subjects(loop, ledger, options.api_key),
            flushed,
            awaited("upstream", loop, lambda: ask(http, options.upstream)),
        ]
        result = run(
            subjects,
            stopwatch,
            options.rounds,
            options.requests,
            clear=lambda: loop.run_until_complete(close_leases(ledger)),
        )
    loop.run_until_complete(http.close())
    loop.run_until_complete(ledger.close())
    options.result.write_bytes(orjson.dumps(result))


async def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(headers={"Content-Type": "application/json"})


if __name__ == "__main__":
    main()
