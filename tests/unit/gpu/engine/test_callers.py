"""The engine and its callers: order, a free event loop, those who leave, and the end of either side."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from functions.gpu.engine import load_engine
from functions.gpu.engine.engine import ContinuousEngine
from functions.gpu.engine.loader import LoadedModel
from functions.gpu.engine.options import EngineOptions
from functions.gpu.engine.protocol import (
    Delta,
    EngineError,
    Event,
    Finished,
    FinishReason,
    GrammarKind,
    GrammarSpec,
    Prefilled,
    QueueFull,
    Sampling,
)
from tests.unit.gpu.engine.conftest import MakeEngine, MakeGated, engine_on
from tests.unit.gpu.engine.gate import Gate
from tests.unit.gpu.engine.transcripts import DEADLINE, Transcript, collect

pytestmark = pytest.mark.anyio

PROMPT = [40, 41, 42]
GREEDY = Sampling(max_tokens=20, temperature=0, logprobs=0)
ENDLESS = Sampling(max_tokens=200, temperature=0, ignore_eos=True)
CHAT = [{"role": "user", "content": "Hello"}]


async def until(holds: Callable[[], bool]) -> None:
    with anyio.fail_after(DEADLINE):
        while not holds():
            await anyio.sleep(0.001)


def begin(events: AsyncGenerator[Event, None]) -> asyncio.Task[Transcript]:
    return asyncio.create_task(collect(events))


def idle(engine: ContinuousEngine) -> bool:
    """Whether nothing waits, runs or is held."""
    figures = engine.figures()
    return (figures.waiting, figures.running, figures.pages_used) == (0, 0, 0)


async def test_a_generation_from_messages_to_its_end(engine: ContinuousEngine) -> None:
    prompt = await engine.tokenize(CHAT)
    first, *deltas, last = [event async for event in engine.generate([prompt], GREEDY)]
    assert first == Prefilled(0, len(prompt), 0)
    assert [event.completion_tokens for event in deltas if isinstance(event, Delta)] == list(range(1, len(deltas) + 1))
    assert isinstance(last, Finished)


async def test_first_come_is_first_served(tiny: LoadedModel, make_gated: MakeGated) -> None:
    engine, gate = make_gated(tiny, max_running=1)
    prompts = [[50], [60], [70], [80]]
    tasks = []
    for prompt in prompts:
        tasks.append(begin(engine.generate([prompt], Sampling(max_tokens=1))))
        await checkpoint()
    gate.open()
    await asyncio.gather(*tasks)
    assert gate.seen == prompts


async def test_the_event_loop_runs_while_the_model_works(tiny: LoadedModel, make_gated: MakeGated) -> None:
    engine, gate = make_gated(tiny)
    task = begin(engine.generate([PROMPT], GREEDY))
    await until(lambda: gate.waiting)
    for _ in range(100):
        await checkpoint()
    assert not task.done()
    gate.open()
    assert (await task).choices[0].reason is FinishReason.LENGTH


async def test_long_prompts_do_not_stop_the_event_loop(engine: ContinuousEngine) -> None:
    task = asyncio.create_task(engine.tokenize([{"role": "user", "content": "the gate is open " * 20_000}]))
    turns = 0
    while not task.done():
        await checkpoint()
        turns += 1
    assert len(await task) > 20_000
    assert turns > 10


async def test_leaving_during_a_long_prompt_stops_between_its_chunks(tiny: LoadedModel, make_gated: MakeGated) -> None:
    engine, gate = make_gated(tiny, max_running=4, step_tokens=16)
    task = begin(engine.generate([[7] * 200], GREEDY))
    gate.open(1)
    await until(lambda: gate.waiting and gate.steps == 1)
    task.cancel()
    await asyncio.wait([task])
    gate.open(1)  # the chunk that was under way
    await until(lambda: idle(engine))
    assert gate.steps == 2


async def test_who_leaves_the_queue_gives_its_place_back_and_is_never_begun(
    tiny: LoadedModel, make_gated: MakeGated
) -> None:
    engine, gate = make_gated(tiny, max_running=1, queue_limit=4)
    first = begin(engine.generate([[50]], Sampling(max_tokens=1)))
    await until(lambda: gate.waiting)
    waiting = [begin(engine.generate([[60]], GREEDY)) for _ in range(3)]
    await until(lambda: engine.figures().waiting == 3)
    with pytest.raises(QueueFull):
        await collect(engine.generate([[70]], GREEDY))
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    gate.open()
    await first
    await until(lambda: idle(engine))
    await collect(engine.generate([[70]], Sampling(max_tokens=1)))
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


@pytest.mark.parametrize("leave", [step_and_close, cancel_at_once, never_begin, break_out])
async def test_a_hundred_callers_who_leave_leave_an_empty_engine(
    engine: ContinuousEngine, leave: Callable[[AsyncGenerator[Event, None]], Awaitable[None]]
) -> None:
    for _ in range(100):
        with anyio.fail_after(DEADLINE):
            while True:
                with contextlib.suppress(QueueFull):  # one that left may still be in its last step
                    await leave(engine.generate([PROMPT], ENDLESS))
                    break
                await anyio.sleep(0.001)
    await until(lambda: idle(engine))
    assert (await collect(engine.generate([PROMPT], GREEDY))).choices[0].count > 0


def lose(engine: ContinuousEngine, gate: Gate) -> list[Any]:
    """One caller whose event loop is closed after its first token, and one whose loop is closed while it waits.

    Somebody still holds on to them, so that nothing tells the engine.
    """
    loop = asyncio.new_event_loop()
    running, waiting = engine.generate([[50]], ENDLESS), engine.generate([[60]], ENDLESS)
    gate.open(1)
    for _ in range(2):  # the prompt, the first token
        loop.run_until_complete(anext(running))
    pending = loop.create_task(anext(waiting))
    loop.run_until_complete(asyncio.sleep(0))
    pending.cancel()  # without running the loop: the engine hears nothing of it
    loop.close()
    return [running, waiting, pending]


async def test_callers_whose_event_loop_is_gone_cost_a_step_and_no_more(
    tiny: LoadedModel, make_gated: MakeGated
) -> None:
    engine, gate = make_gated(tiny, max_running=1)
    held = await asyncio.to_thread(lose, engine, gate)
    gate.open()
    await until(lambda: idle(engine))
    assert gate.steps <= 3
    assert len(held) == 3
    assert (await collect(engine.generate([[70]], GREEDY))).choices[0].count == GREEDY.max_tokens


async def test_close_ends_what_runs_and_what_waits(tiny: LoadedModel, make_gated: MakeGated) -> None:
    engine, gate = make_gated(tiny, max_running=2)
    tasks = [begin(engine.generate([PROMPT], ENDLESS)) for _ in range(5)]
    gate.open(2)
    await until(lambda: gate.waiting and gate.steps == 2)
    closing = asyncio.create_task(engine.close())
    await until(lambda: not engine.alive)
    gate.open(1)  # the step that was under way
    await closing
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(outcome, EngineError)
        assert "closed" in str(outcome)
    assert idle(engine)


async def generate(engine: ContinuousEngine) -> Any:
    return await collect(engine.generate([PROMPT], GREEDY))


async def test_a_closed_engine_refuses_everything_and_can_be_closed_again(engine: ContinuousEngine) -> None:
    await engine.close()
    await engine.close()
    grammar = GrammarSpec(GrammarKind.JSON_OBJECT)
    for attempt in (generate(engine), engine.tokenize(CHAT), engine.encode("a"), engine.decode([5])):
        with pytest.raises(EngineError, match="closed"):
            await attempt
    with pytest.raises(EngineError, match="closed"):
        await engine.compile(grammar)


async def test_a_model_that_is_loaded_again_answers_the_same(tiny: LoadedModel, make_engine: MakeEngine) -> None:
    first, _ = engine_on(tiny)
    before = await collect(first.generate([PROMPT], GREEDY))
    await first.close()
    assert await collect(make_engine(tiny).generate([PROMPT], GREEDY)) == before


async def test_load_engine_gives_an_engine_that_says_how_it_loaded(tiny_folder: Path) -> None:
    options = EngineOptions(tiny_folder, dtype="float32", device="cpu", context_length=128, queue_limit=2)
    engine = await asyncio.to_thread(load_engine, options)
    assert {"imports", "config", "tokenizer", "weights", "first step", "attention", "warm-up"} <= set(
        engine.load_seconds
    )
    assert all(seconds >= 0 for seconds in engine.load_seconds.values())
    assert engine.context_length == 128
    assert engine.embedding_size is None
    assert (await collect(engine.generate([PROMPT], GREEDY))).choices[0].count > 0
    await engine.close()
