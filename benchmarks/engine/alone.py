"""The process in which our engine is measured alone.

`python -m benchmarks.engine.alone PLAN RESULT`. RESULT becomes a JSON file with the rounds of each experiment:
where a decoding step's time goes, what a long prompt does to those who decode while it joins, and what a
prompt costs whose beginning was asked before. All prompts differ, unless they are meant not to.
"""

import argparse
import asyncio
import json
import random
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.child import end_with_parent
from benchmarks.engine.models import FIRST_WORD, make_model, make_tokenizer
from benchmarks.engine.ours import Stream, full_sampling, greedy, make_engine
from benchmarks.engine.plan import FULL, QUICK
from benchmarks.engine.plan import Alone as Size
from benchmarks.engine.shapes import SHAPES
from benchmarks.engine.timeline import gaps
from benchmarks.engine.workload import Request, random_prompt
from benchmarks.spread import percentile
from functions.gpu.engine.engine import ContinuousEngine
from functions.gpu.engine.protocol import Sampling

_KV_BYTES = 1 << 30
_SHORT = 16  # tokens of a prompt that is only there to be decoded from
_LONG_ENOUGH = 400  # new tokens of whoever decodes until the experiment is over
Round = dict[str, float]


class Alone:
    """The experiments, on one engine. Each gives one round's numbers."""

    def __init__(self, engine: ContinuousEngine, size: Size, words: range) -> None:
        self._engine = engine
        self._size = size
        self._random = random.Random(2)
        self._words = words

    async def step(self, sampling: Sampling) -> Round:
        """Milliseconds of each phase of a step that decodes all rows, and no more."""
        async with AsyncExitStack() as stack:
            streams = await self._decoding(stack, self._size.rows, sampling)
            before = dict(self._engine.phases)
            await asyncio.wait([stream.task for stream in streams], return_when=asyncio.FIRST_COMPLETED)
            spent = {phase: value - before[phase] for phase, value in self._engine.phases.items()}
        steps = spent.pop("steps")
        return {phase: seconds / steps * 1_000 for phase, seconds in spent.items()}

    async def joining(self) -> Round:
        """A long prompt, first alone, then while others decode."""
        alone = await self._first_ms(self._prompt(self._size.joining))
        async with AsyncExitStack() as stack:
            others = await self._decoding(stack, self._size.neighbours, greedy(_LONG_ENOUGH))
            for other in others:
                await other.reach(self._size.steps_before)
            begun = perf_counter()
            joined = await self._first_ms(self._prompt(self._size.joining))
            before = gaps(_within(others, 0, begun))
            during = gaps(_within(others, begun, perf_counter(), with_the_last_before=True))
        return {
            "before_p50_ms": percentile(before, 50) * 1_000,
            "during_p50_ms": percentile(during, 50) * 1_000,
            "during_p99_ms": percentile(during, 99) * 1_000,
            "first_alone_ms": alone,
            "first_joined_ms": joined,
        }

    async def prefix(self) -> Round:
        """Milliseconds to the first token: of a prompt, of one with the same beginning, and of another's such."""
        beginning, owner = self._prompt(self._size.prefix), f"owner {self._random.random()}"
        return {
            "first": await self._first_ms(beginning + self._prompt(self._size.tail), owner),
            "again": await self._first_ms(beginning + self._prompt(self._size.tail), owner),
            "another": await self._first_ms(beginning + self._prompt(self._size.tail), f"not {owner}"),
        }

    def _prompt(self, length: int) -> list[int]:
        return random_prompt(self._random, self._words, length)

    async def _decoding(self, stack: AsyncExitStack, rows: int, sampling: Sampling) -> list[Stream]:
        """So many streams, all past their first token; each is ended with the stack."""
        requests = [Request(self._prompt(_SHORT), sampling.max_tokens) for _ in range(rows)]
        streams = [Stream(self._engine, request, sampling=sampling) for request in requests]
        for stream in streams:
            stack.push_async_callback(stream.end)
        return [await stream.reach(1) for stream in streams]

    async def _first_ms(self, prompt: list[int], owner: str = "") -> float:
        stream = Stream(self._engine, Request(prompt, 1), owner=owner)
        await stream.reach(1)
        await stream.task
        return (stream.arrivals[0] - stream.begun) * 1_000


async def measure(engine: ContinuousEngine, size: Size, words: range) -> dict[str, list[Round]]:
    """All rounds of all experiments, by turns; the first round of steps is not counted."""
    alone = Alone(engine, size, words)
    await alone.step(greedy(size.row_tokens))
    rounds: dict[str, list[Round]] = {"greedy": [], "full": [], "joining": [], "prefix": []}
    for _ in range(size.rounds):
        rounds["greedy"].append(await alone.step(greedy(size.row_tokens)))
        rounds["full"].append(await alone.step(full_sampling(size.row_tokens)))
        rounds["joining"].append(await alone.joining())
        rounds["prefix"].append(await alone.prefix())
    await engine.close()
    return rounds


def _within(
    streams: Sequence[Stream], begin: float, end: float, *, with_the_last_before: bool = False
) -> list[list[float]]:
    """The arrivals of each stream in that time; the gap that `begin` falls into counts where the last is wanted."""
    found = []
    for stream in streams:
        inside = [at for at in stream.arrivals if begin <= at <= end]
        earlier = [at for at in stream.arrivals if at < begin] if with_the_last_before else []
        found.append(earlier[-1:] + inside)
    return found


def main() -> None:
    """Measure, and write the result."""
    plans: Mapping[str, Size] = {"full": FULL.alone, "quick": QUICK.alone}
    parser = argparse.ArgumentParser()
    parser.add_argument("plan", choices=sorted(plans))
    parser.add_argument("result", type=Path)
    options: Any = parser.parse_args()
    end_with_parent()
    size = plans[options.plan]
    shape = SHAPES[size.shape]
    engine = make_engine(make_model(shape), make_tokenizer(shape.vocabulary), shape.context, kv_bytes=_KV_BYTES)
    rounds = asyncio.run(measure(engine, size, range(FIRST_WORD, shape.vocabulary)))
    options.result.write_text(json.dumps(rounds), encoding="utf-8")


if __name__ == "__main__":
    main()
