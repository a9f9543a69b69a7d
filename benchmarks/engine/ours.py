"""Our engine as a contender, and single streams of it for what is measured of it alone."""

import asyncio
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.engine.models import loaded
from benchmarks.engine.timeline import Timeline
from benchmarks.engine.workload import Request
from benchmarks.failure import BenchmarkFailed
from functions.gpu.engine.engine import ContinuousEngine
from functions.gpu.engine.options import EngineOptions
from functions.gpu.engine.protocol import Delta, EngineError, Finished, Sampling


def make_engine(model: Any, tokenizer: Any, context: int, **options: Any) -> ContinuousEngine:
    """An engine on a model that was made and not read; `options` are those of EngineOptions."""
    return ContinuousEngine(
        loaded(model, tokenizer, context), EngineOptions(Path("made-up"), context_length=context, **options)
    )


def greedy(new: int) -> Sampling:
    """The likeliest token each time, and exactly so many of them."""
    return Sampling(max_tokens=new, temperature=0, ignore_eos=True)


def full_sampling(new: int) -> Sampling:
    """Everything that a request may ask of the sampler, but a grammar."""
    return Sampling(
        max_tokens=new,
        temperature=0.8,
        top_p=0.9,
        top_k=50,
        presence_penalty=0.1,
        frequency_penalty=0.1,
        repetition_penalty=1.1,
        seed=1,
        ignore_eos=True,
    )


class Stream:
    """One generation, read as fast as it comes. Make it on a running event loop."""

    def __init__(
        self, engine: ContinuousEngine, request: Request, *, owner: str = "", sampling: Sampling | None = None
    ) -> None:
        self.arrivals: list[float] = []  # of deltas with new tokens; a token each, as long as the reader keeps up
        self.tokens = 0
        self.begun = perf_counter()
        self._over = False
        self._news = asyncio.Event()
        self._events = engine.generate([request.prompt], sampling or greedy(request.new), owner=owner)
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            async for event in self._events:
                if isinstance(event, Delta | Finished) and event.completion_tokens > self.tokens:
                    self.arrivals.append(perf_counter())
                    self.tokens = event.completion_tokens
                    self._news.set()
        finally:
            await self._events.aclose()
            self._over = True
            self._news.set()

    async def reach(self, tokens: int) -> "Stream":
        """Wait for so many tokens. Raises BenchmarkFailed where they never come."""
        while self.tokens < tokens:
            if self._over:
                await asyncio.wait([self.task])
                raise BenchmarkFailed(f"our engine gave {self.tokens} of {tokens} tokens: {_failure(self.task)}")
            self._news.clear()
            await self._news.wait()
        return self

    async def end(self) -> None:
        """Close it, whatever it has given, and wait until the engine knows."""
        self.task.cancel()
        await asyncio.wait([self.task])


async def serve(engine: ContinuousEngine, requests: Sequence[Request], owner: str) -> Timeline:
    """All requests at once, to their ends. Raises BenchmarkFailed where one fails or loses a token."""
    begun = perf_counter()
    streams = [Stream(engine, request, owner=owner) for request in requests]
    try:
        await asyncio.gather(*(stream.task for stream in streams))
    except EngineError as error:
        raise BenchmarkFailed(f"our engine: {error}") from error
    for stream, request in zip(streams, requests, strict=True):
        if stream.tokens != request.new:
            raise BenchmarkFailed(f"our engine: {stream.tokens} of {request.new} tokens")
    return Timeline(begun, [stream.arrivals for stream in streams])


class Ours:
    """The continuous-batching engine. Each crowd is another owner, who finds nothing of the last one's prompts."""

    def __init__(self, engine: ContinuousEngine) -> None:
        self._engine = engine
        self._owners = count()

    def serve(self, requests: Sequence[Request]) -> Timeline:
        return asyncio.run(serve(self._engine, requests, f"crowd {next(self._owners)}"))

    def close(self) -> None:
        """End the engine."""
        asyncio.run(self._engine.close())


def _failure(task: "asyncio.Task[None]") -> str:
    return "it was cancelled" if task.cancelled() else repr(task.exception())
