"""How fast the engine is with one model of random weights, made on the device.

`python -m benchmarks.gpu.speed DEVICE PLAN SECONDS`. In this order: all requests at once (offline), clients
that ask again and again (online), decoding steps beside the device's ceilings, a long prompt that joins, and a
prompt whose beginning is known. Each section ends where its time is over, and says of what it got to.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict
from typing import Any

import torch

import benchmarks.gpu.bare  # noqa: F401  (before the engine is imported)
from benchmarks.engine.alone import Alone
from benchmarks.engine.models import FIRST_WORD, make_model, make_tokenizer
from benchmarks.engine.ours import Stream, full_sampling, greedy, make_engine
from benchmarks.engine.shapes import SHAPES
from benchmarks.engine.timeline import Served, Timeline
from benchmarks.engine.workload import Request
from benchmarks.gpu.arguments import Arguments, read_arguments
from benchmarks.gpu.ceilings import measure_ceilings
from benchmarks.gpu.floors import Floors
from benchmarks.gpu.lengths import sharegpt_like
from benchmarks.gpu.lines import Line, tell
from functions.gpu.engine.engine import ContinuousEngine
from functions.gpu.engine.protocol import Sampling

_PUBLISHED = {"vLLM": 12_553, "SGLang": 16_215}
"""Tokens a second out of one H100, Llama 3.1 8B Instruct in bfloat16, 1,000 prompts of ShareGPT itself at once:
research.aimultiple.com/inference-engines. Other prompts and answers than ours here, and greedy or not, unsaid."""


class Speed:
    """One engine, and what it is asked."""

    def __init__(self, arguments: Arguments) -> None:
        self._plan, self._seconds = arguments.plan.speed, arguments.seconds
        self._device = arguments.device
        self._shape = SHAPES[self._plan.shape]
        self._words = range(FIRST_WORD, self._shape.vocabulary)
        self._engine: ContinuousEngine
        self._floors: Floors

    async def setup(self) -> AsyncIterator[Line]:
        """The device's ceilings, while there is memory for it; then a model and an engine, and what they took."""
        ceilings = measure_ceilings(self._device, self._plan.copied, self._plan.multiplied)
        yield {
            "device": torch.cuda.get_device_name() if self._device == "cuda" else "cpu",
            "torch": torch.__version__,
            "bytes_per_s": ceilings.bandwidth,
            "bfloat16_operations_per_s": ceilings.operations,
        }
        begun = time.monotonic()
        model = make_model(self._shape, dtype=torch.bfloat16, device=self._device)
        made = time.monotonic()
        self._floors = Floors(model, self._shape, ceilings)
        self._engine = make_engine(
            model,
            make_tokenizer(self._shape.vocabulary),
            self._plan.context,
            max_running=self._plan.max_running,
            queue_limit=2 * self._plan.offline,  # one owner may not have all of it
            step_tokens=self._plan.step_tokens,
            kv_bytes=None if self._device == "cuda" else 1 << 28,
        )
        figures = self._engine.figures()
        yield {
            "shape": asdict(self._shape),
            "weights_bytes": sum(tensor.numel() * tensor.element_size() for tensor in model.parameters()),
            "kv_tokens": figures.pages * figures.page_tokens,
            "model_s": made - begun,
            "engine_s": time.monotonic() - made,
        }

    async def offline(self) -> AsyncIterator[Line]:
        """All requests at once; where time runs out, the tokens so far."""
        await self._until_over([Stream(self._engine, Request([FIRST_WORD] * 8, 8))])  # once, not counted
        requests = sharegpt_like(self._plan.offline, self._words, self._plan.longest)
        before, begun = dict(self._engine.phases), time.perf_counter()
        streams = [Stream(self._engine, request, owner="offline") for request in requests]
        whole = await self._until_over(streams)
        seconds = max(stream.arrivals[-1] for stream in streams if stream.arrivals) - begun
        rate = sum(stream.tokens for stream in streams) / seconds
        yield {
            "requests": len(requests),
            "finished": sum(stream.tokens == request.new for stream, request in zip(streams, requests, strict=True)),
            "whole": whole,
            "mean_prompt": sum(len(request.prompt) for request in requests) / len(requests),
            "mean_new": sum(request.new for request in requests) / len(requests),
            "tokens_per_s": rate,
            "preemptions": self._engine.figures().preemptions_total,
            "phases_s": {name: value - before[name] for name, value in self._engine.phases.items()},
            "published_tokens_per_s": _PUBLISHED,
            "of_published": {name: rate / theirs for name, theirs in _PUBLISHED.items()},
        }

    async def online(self) -> AsyncIterator[Line]:
        """So many clients at once, each of which asks again when it has its answer."""
        for clients in self._plan.online:
            requests = sharegpt_like(clients * self._plan.online_each, self._words, self._plan.longest)
            until = time.monotonic() + self._seconds / len(self._plan.online)
            served, begun = Served(), time.perf_counter()
            async with asyncio.TaskGroup() as group:
                for client in range(clients):
                    group.create_task(self._client(requests[client::clients], f"client {client}", served, until))
            served.seconds = time.perf_counter() - begun
            line: Line = {"at_once": clients, "requests": len(served.first)}
            yield line | (served.measures() if served.first else {})

    async def decode(self) -> AsyncIterator[Line]:
        """A step that decodes so many rows, beside what its bytes and its operations take at the least."""
        new = self._plan.context - self._plan.batch_prompt
        for rows in self._plan.batches:
            yield self._floors.beside(rows, *await self._step(rows, greedy(new))) | {"sampling": "greedy"}
        rows = self._plan.batches[-1]
        yield self._floors.beside(rows, *await self._step(rows, full_sampling(new))) | {"sampling": "full"}

    async def alone(self) -> AsyncIterator[Line]:
        """What `benchmarks.engine` asks of the engine alone."""
        alone = Alone(self._engine, self._plan.alone, self._words)
        for _ in range(self._plan.alone.rounds):
            yield {"step": "greedy", "rows": self._plan.alone.rows} | await alone.step(
                greedy(self._plan.alone.row_tokens)
            )
            yield {"joining": self._plan.alone.joining} | await alone.joining()
            yield {"prefix": self._plan.alone.prefix} | await alone.prefix()

    async def close(self) -> None:
        await self._engine.close()

    async def _until_over(self, streams: Sequence[Stream]) -> bool:
        """Wait for streams, until time is over; then end them. Whether all came to their ends."""
        done, late = await asyncio.wait([stream.task for stream in streams], timeout=self._seconds)
        for stream in streams:
            await stream.end()
        for task in done:
            task.result()  # raises what failed
        return not late

    async def _client(self, requests: Sequence[Request], owner: str, served: Served, until: float) -> None:
        """One request after another, until time is over: of what is under way then, only the tokens count."""
        for request in requests:
            stream = Stream(self._engine, request, owner=owner)
            done, _ = await asyncio.wait([stream.task], timeout=until - time.monotonic())
            await stream.end()
            if not done:
                served.tokens += stream.tokens
                return
            stream.task.result()
            served.add(Timeline(stream.begun, [stream.arrivals]), request.new)

    async def _step(self, rows: int, sampling: Sampling) -> tuple[float, float, dict[str, float]]:
        """Seconds of a step, tokens whose keys and values it reads, and the seconds of each of its phases."""
        wanted = self._plan.batch_steps
        async with AsyncExitStack() as stack:
            streams = []
            for prompt in sharegpt_like(rows, self._words, self._plan.batch_prompt):
                full = (prompt.prompt * self._plan.batch_prompt)[: self._plan.batch_prompt]
                streams.append(Stream(self._engine, Request(full, 0), owner="step", sampling=sampling))
                stack.push_async_callback(streams[-1].end)
            async with asyncio.timeout(self._seconds):
                for stream in streams:
                    await stream.reach(1)
                reached = [stream.tokens for stream in streams]
                before, begun = dict(self._engine.phases), time.perf_counter()
                await streams[-1].reach(reached[-1] + wanted)
            seconds = time.perf_counter() - begun
            spent = {name: value - before[name] for name, value in self._engine.phases.items()}
        steps = spent.pop("steps")
        context = sum(self._plan.batch_prompt + tokens + wanted / 2 for tokens in reached)
        return seconds / steps, context, {name: value / steps for name, value in spent.items()}


async def _measure(arguments: Arguments) -> bool:
    speed: Any = Speed(arguments)
    if not await tell("setup", speed.setup()):
        return False
    well = True
    for section in (speed.offline, speed.online, speed.decode, speed.alone):
        well &= await tell(section.__name__, arguments.bounded(section()))
    await speed.close()
    return well


if __name__ == "__main__":
    raise SystemExit(not asyncio.run(_measure(read_arguments())))
