"""The engine among its callers: order, limits, cancellation, failures, and the end of either side.

`Gate` stands before the model and lets a counted number of steps through, so that these tests know where a
generation is without looking at a clock.
"""

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
import torch
from anyio.lowlevel import checkpoint

from functions.gpu.engine import load_engine
from functions.gpu.engine.decoding import PREFILL_CHUNK
from functions.gpu.engine.engine import SequentialEngine
from functions.gpu.engine.loader import LoadedModel
from functions.gpu.engine.protocol import (
    Delta,
    EngineError,
    Event,
    Finished,
    FinishReason,
    InvalidPrompt,
    PromptTooLong,
    QueueFull,
    Sampling,
)
from tests.unit.gpu.engine.conftest import QUEUE_LIMIT

pytestmark = pytest.mark.anyio

DEADLINE = 30  # seconds, for what takes milliseconds
PROMPT = [40, 41, 42]
GREEDY = Sampling(max_tokens=20, temperature=0)
ENDLESS = Sampling(max_tokens=200, temperature=0)


class Gate:
    """A model that waits for a permit before each step, and can be told to misbehave at one."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.device = model.device
        self.permits = threading.Semaphore(0)
        self.steps = 0
        self.seen: list[list[int]] = []
        self.misbehave: Callable[[Any], Any] = lambda output: output

    def __call__(self, **inputs: Any) -> Any:
        assert self.permits.acquire(timeout=DEADLINE)
        self.steps += 1
        self.seen.append(inputs["input_ids"][0].tolist())
        return self.misbehave(self._model(**inputs))

    def open(self, steps: int = 10_000) -> None:
        self.permits.release(steps)


@pytest.fixture
def gate(tiny: LoadedModel) -> Gate:
    return Gate(tiny.model)


@pytest.fixture
async def gated(tiny: LoadedModel, gate: Gate) -> AsyncIterator[SequentialEngine]:
    engine = SequentialEngine(replace(tiny, model=gate, end_ids=frozenset()), queue_limit=QUEUE_LIMIT)
    yield engine
    gate.open()
    await engine.close()


async def collect(events: AsyncGenerator[Event, None]) -> list[Event]:
    with anyio.fail_after(DEADLINE):
        return [event async for event in events]


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(DEADLINE):
        while not condition():
            await anyio.sleep(0.001)


def begin(events: AsyncGenerator[Event, None]) -> asyncio.Task[list[Event]]:
    return asyncio.create_task(collect(events))


async def test_a_generation_from_messages_to_its_end(engine: SequentialEngine, tiny: LoadedModel) -> None:
    prompt = await engine.tokenize([{"role": "user", "content": "Hello"}])
    *deltas, last = await collect(engine.generate(prompt, GREEDY))
    assert all(isinstance(event, Delta) for event in deltas)
    assert isinstance(last, Finished)
    assert engine.context_length == tiny.context_length


async def test_concurrent_requests_get_the_answers_they_get_alone(engine: SequentialEngine) -> None:
    samplings = [Sampling(max_tokens=30, temperature=1.5, seed=seed) for seed in range(QUEUE_LIMIT + 1)]
    alone = [await collect(engine.generate(PROMPT, sampling)) for sampling in samplings]
    together = await asyncio.gather(*(begin(engine.generate(PROMPT, sampling)) for sampling in samplings))
    assert together == alone


async def test_first_come_is_first_served(gated: SequentialEngine, gate: Gate) -> None:
    prompts = [[50], [60], [70], [80]]
    tasks = []
    for prompt in prompts:
        tasks.append(begin(gated.generate(prompt, Sampling(max_tokens=1))))
        await checkpoint()
    gate.open()
    await asyncio.gather(*tasks)
    assert gate.seen == prompts


async def test_the_event_loop_runs_while_the_model_works(gated: SequentialEngine, gate: Gate) -> None:
    task = begin(gated.generate(PROMPT, GREEDY))
    for _ in range(100):
        await checkpoint()
    assert not task.done()
    gate.open()
    assert (await task)[-1] == Finished(FinishReason.LENGTH, GREEDY.max_tokens)


async def test_a_full_queue_is_refused_and_hurts_nobody(gated: SequentialEngine, gate: Gate) -> None:
    accepted = [begin(gated.generate(PROMPT, GREEDY)) for _ in range(QUEUE_LIMIT + 1)]
    await checkpoint()
    with pytest.raises(QueueFull, match=f"{QUEUE_LIMIT}"):
        await collect(gated.generate(PROMPT, GREEDY))
    gate.open()
    assert all(events[-1] for events in await asyncio.gather(*accepted))


@pytest.mark.parametrize(
    ("prompt", "max_tokens", "error", "reason"),
    [
        ([], 1, InvalidPrompt, "empty"),
        ([-1], 1, InvalidPrompt, "outside 0..304"),
        ([305], 1, InvalidPrompt, "outside 0..304"),
        ([1] * 200, 57, PromptTooLong, "200 prompt tokens and 57 new ones over 256"),
        ([1] * 257, 1, PromptTooLong, "257 prompt tokens"),
    ],
)
async def test_a_prompt_that_cannot_be_served_is_refused_at_once(
    engine: SequentialEngine, prompt: list[int], max_tokens: int, error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        await collect(engine.generate(prompt, Sampling(max_tokens=max_tokens)))


async def test_the_numbers_of_a_prompt_that_is_too_long(engine: SequentialEngine) -> None:
    with pytest.raises(PromptTooLong) as caught:
        await collect(engine.generate([1] * 250, Sampling(max_tokens=7)))
    assert (caught.value.prompt_tokens, caught.value.max_tokens, caught.value.context_length) == (250, 7, 256)


async def test_closing_a_running_generation_stops_it_within_one_step(gated: SequentialEngine, gate: Gate) -> None:
    gate.open(3)
    events = gated.generate(PROMPT, ENDLESS)
    for _ in range(3):
        assert isinstance(await anext(events), Delta)
    await events.aclose()
    gate.open(1)  # the step it was waiting in
    await until(lambda: gated._running is None)
    assert gate.steps <= 4


async def test_closing_during_a_long_prompt_stops_between_chunks(
    tiny: LoadedModel, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = SequentialEngine(replace(tiny, model=gate, context_length=10**6), queue_limit=1)
    task = begin(engine.generate([7] * (PREFILL_CHUNK * 10), GREEDY))
    gate.open(1)
    await until(lambda: gate.steps == 1)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    gate.open(1)
    await until(lambda: engine._running is None)
    assert gate.steps <= 2
    await engine.close()


async def test_a_generation_abandoned_in_the_queue_leaves_it_at_once(gated: SequentialEngine, gate: Gate) -> None:
    first = begin(gated.generate([50], Sampling(max_tokens=1)))
    await until(lambda: gated._running is not None)
    waiting = [begin(gated.generate([60], GREEDY)) for _ in range(QUEUE_LIMIT)]
    await checkpoint()
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    last = begin(gated.generate([70], Sampling(max_tokens=1)))  # the queue has room again
    await checkpoint()
    gate.open()
    await asyncio.gather(first, last)
    assert gate.seen == [[50], [70]]


async def step_and_close(events: AsyncGenerator[Event, None]) -> None:
    await anext(events)
    await events.aclose()


async def cancel_at_once(events: AsyncGenerator[Event, None]) -> None:
    task = begin(events)
    await checkpoint()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def never_begin(events: AsyncGenerator[Event, None]) -> None:
    await events.aclose()


async def break_out(events: AsyncGenerator[Event, None]) -> None:
    async for _ in events:
        return  # and leave the generator to the event loop's care


@pytest.mark.parametrize("abandon", [step_and_close, cancel_at_once, never_begin, break_out])
async def test_a_hundred_abandoned_generations_leave_an_empty_engine(
    engine: SequentialEngine, abandon: Callable[[AsyncGenerator[Event, None]], Awaitable[None]]
) -> None:
    for _ in range(100):
        with anyio.fail_after(DEADLINE):
            while True:
                with contextlib.suppress(QueueFull):  # an abandoned one may still be in its last step
                    await abandon(engine.generate(PROMPT, ENDLESS))
                    break
                await anyio.sleep(0.001)
    await until(lambda: engine._running is None)
    assert not engine._waiting
    assert isinstance((await collect(engine.generate(PROMPT, GREEDY)))[-1], Finished)


async def test_a_failing_request_fails_alone(gated: SequentialEngine, gate: Gate) -> None:
    def misbehave(output: Any) -> Any:
        if gate.steps == 3:
            raise RuntimeError("out of\nmemory")
        return output

    gate.misbehave = misbehave
    bad, good = begin(gated.generate(PROMPT, GREEDY)), begin(gated.generate(PROMPT, GREEDY))
    gate.open()
    with pytest.raises(EngineError, match="the model failed: RuntimeError: out of"):
        await bad
    assert (await good)[-1] == Finished(FinishReason.LENGTH, GREEDY.max_tokens)


async def test_logits_that_are_no_numbers_fail_their_request_alone(gated: SequentialEngine, gate: Gate) -> None:
    def misbehave(output: Any) -> Any:
        if gate.steps == 2:
            output.logits = torch.full_like(output.logits, torch.nan)
        return output

    gate.misbehave = misbehave
    bad, good = begin(gated.generate(PROMPT, GREEDY)), begin(gated.generate(PROMPT, GREEDY))
    gate.open()
    with pytest.raises(EngineError, match="not numbers"):
        await bad
    assert (await good)[-1] == Finished(FinishReason.LENGTH, GREEDY.max_tokens)


async def test_close_ends_running_and_waiting_generations(gated: SequentialEngine, gate: Gate) -> None:
    tasks = [begin(gated.generate(PROMPT, ENDLESS)) for _ in range(QUEUE_LIMIT + 1)]
    gate.open(2)
    await until(lambda: gate.steps == 2)
    closing = asyncio.create_task(gated.close())
    await checkpoint()
    gate.open(1)
    with anyio.fail_after(DEADLINE):
        await closing
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(outcome, EngineError)
        assert "closed" in str(outcome)
    assert not gated._thread.is_alive()


async def test_a_closed_engine_refuses(tiny: LoadedModel) -> None:
    engine = SequentialEngine(tiny, queue_limit=1)
    await engine.close()
    await engine.close()
    with pytest.raises(EngineError, match="closed"):
        await collect(engine.generate(PROMPT, GREEDY))
    with pytest.raises(EngineError, match="closed"):
        await engine.tokenize([{"role": "user", "content": "Hello"}])


def test_the_engine_survives_a_caller_whose_event_loop_is_gone(tiny: LoadedModel, gate: Gate) -> None:
    engine = SequentialEngine(replace(tiny, model=gate, end_ids=frozenset()), queue_limit=QUEUE_LIMIT)
    lost = asyncio.new_event_loop()
    running, waiting = engine.generate([50], ENDLESS), engine.generate([60], ENDLESS)
    gate.open(1)
    lost.run_until_complete(anext(running))
    pending = lost.create_task(anext(waiting))
    lost.run_until_complete(asyncio.sleep(0))
    pending.cancel()  # without running the loop: the engine hears nothing of it
    lost.close()
    gate.open()
    try:
        assert asyncio.run(collect(engine.generate([70], GREEDY)))[-1] == Finished(
            FinishReason.LENGTH, GREEDY.max_tokens
        )
        assert [60] not in gate.seen
        assert len(gate.seen) <= 2 + GREEDY.max_tokens
    finally:
        asyncio.run(engine.close())


async def test_long_prompts_do_not_stop_the_event_loop(engine: SequentialEngine) -> None:
    task = asyncio.create_task(engine.tokenize([{"role": "user", "content": "the gate is open " * 20_000}]))
    turns = 0
    while not task.done():
        await checkpoint()
        turns += 1
    assert len(await task) > 20_000
    assert turns > 10


async def test_load_engine_gives_an_engine_that_says_how_it_loaded(tiny_folder: Path) -> None:
    engine = await asyncio.to_thread(load_engine, tiny_folder, context_length=128, queue_limit=2)
    assert set(engine.load_seconds) == {"imports", "config", "tokenizer", "weights", "first step"}
    assert engine.context_length == 128
    assert isinstance((await collect(engine.generate(PROMPT, GREEDY)))[-1], Finished)
    await engine.close()
