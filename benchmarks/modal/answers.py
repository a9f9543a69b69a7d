"""Answers, timed by who reads them: one after another, or many at once."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.child import Consumption
from benchmarks.failure import BenchmarkFailed
from benchmarks.modal.ways import Way

PATIENCE = 120.0  # seconds for an answer, and for a crowd of them


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. Times are in seconds from when it was asked for."""

    admitted: float
    first: float  # its first text
    whole: float
    tokens: int
    items: int | None  # that had text; None where the way does not say
    client_cpu: float  # seconds of this process; without the admission, where that is the bench's


@dataclass(frozen=True, slots=True)
class Turn:
    """What one way did in one round. `seconds` are those of all its answers together."""

    answers: list[Answer]
    seconds: float
    server_cpu: float | None  # seconds

    @property
    def tokens(self) -> int:
        """Of all answers."""
        return sum(answer.tokens for answer in self.answers)


async def ask(way: Way, request: Mapping[str, Any]) -> Answer:
    """Ask, and read to the end. Raises BenchmarkFailed where the answer is not as long as it was to be."""
    begun, cpu = time.perf_counter(), time.process_time()
    admitted = first = 0.0
    tokens = items = 0
    async with asyncio.timeout(PATIENCE):
        async for item in way.ask(request):
            now = time.perf_counter() - begun
            if not admitted:
                admitted = now
                cpu = cpu if way.admits_itself else time.process_time()
                continue
            items += item.text
            first = first or (now if item.text else 0.0)
            tokens = item.tokens or tokens
    if tokens != request["max_tokens"]:
        raise BenchmarkFailed(f"{way.name}: an answer of {tokens} tokens, not {request['max_tokens']}")
    whole, cpu = time.perf_counter() - begun, time.process_time() - cpu
    return Answer(admitted, first, whole, tokens, items if way.gives_items else None, cpu)


async def cold(way: Way, request: Mapping[str, Any]) -> Answer:
    """The first answer where nothing runs; its times begin with the start of the process, or with the request."""
    way.server.cool()
    begun = time.perf_counter()
    way.server.start()
    waited = time.perf_counter() - begun
    answer = await ask(way, request)
    return Answer(
        answer.admitted + waited,
        answer.first + waited,
        answer.whole + waited,
        answer.tokens,
        answer.items,
        answer.client_cpu,
    )


async def one_by_one(way: Way, request: Mapping[str, Any], answers: int) -> Turn:
    """So many answers, each asked for when the one before has ended."""
    before, begun = way.server.consumption(), time.perf_counter()
    read = [await ask(way, request) for _ in range(answers)]
    return Turn(read, time.perf_counter() - begun, _used(before, way.server.consumption()))


async def at_once(way: Way, request: Mapping[str, Any], streams: int) -> Turn:
    """So many at once."""
    before, begun = way.server.consumption(), time.perf_counter()
    read = await asyncio.gather(*(ask(way, request) for _ in range(streams)))
    return Turn(read, time.perf_counter() - begun, _used(before, way.server.consumption()))


def _used(before: Consumption | None, after: Consumption | None) -> float | None:
    return None if before is None or after is None else after.cpu - before.cpu
