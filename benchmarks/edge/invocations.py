"""The process in which the handler is invoked, as Lambda does: one event after another, on one event loop.

`python -m benchmarks.edge.invocations ROUNDS REQUESTS UPSTREAM API_KEY RESULT`, with the edge's settings in
the environment. In each round every subject has its turn of so many requests; every other round goes in
reverse order. RESULT becomes a JSON file: for each subject, a number for each round.
"""

import argparse
import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from unittest.mock import patch

import aiohttp
import orjson

import functions.edge.app
from benchmarks.child import end_with_parent
from benchmarks.edge import echo, events
from benchmarks.edge.rig import close_leases
from benchmarks.edge.stopwatch import Stopwatch
from benchmarks.edge.subjects import Subject, asked, flush, invoked, ledger_subjects
from functions.edge.handler import handler
from penstock.ledger import open_ledger
from penstock.settings import EdgeSettings, read_settings


def run(
    subjects: Sequence[Subject], stopwatch: Stopwatch, rounds: int, requests: int, clear: Callable[[], None]
) -> dict[str, object]:
    """All rounds, after one that is not counted. Microseconds: `wall` is a round's median, `cpu` its mean."""
    taken: dict[str, dict[str, list[float]]] = {subject.name: {"wall": [], "cpu": []} for subject in subjects}
    parts: defaultdict[str, list[float]] = defaultdict(list)
    for number in range(rounds + 1):
        for subject in subjects if number % 2 else reversed(subjects):
            clear()
            stopwatch.parts.clear()
            wall, cpu = turn(subject, requests)
            if number:
                taken[subject.name]["wall"].append(median(wall))
                taken[subject.name]["cpu"].append(cpu)
                for part, times in stopwatch.with_rest(wall).items():
                    parts[part].append(median(times))
    return {"subjects": taken, "parts": parts}


def turn(subject: Subject, requests: int) -> tuple[list[float], float]:
    """One turn: the wall time of each request, and the mean CPU time of the process, in microseconds."""
    times = []
    with subject.during:
        cpu = time.process_time_ns()
        for _ in range(requests):
            begun = time.perf_counter_ns()
            subject.request()
            times.append((time.perf_counter_ns() - begun) / 1_000)
        cpu = time.process_time_ns() - cpu
    return times, cpu / requests / 1_000


def main() -> None:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("rounds", type=int)
    parser.add_argument("requests", type=int)
    parser.add_argument("upstream")
    parser.add_argument("api_key")
    parser.add_argument("result", type=Path)
    options = parser.parse_args()
    end_with_parent()
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
            asked(loop, http, options.upstream),
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
