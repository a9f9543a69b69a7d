"""Requests among each other: limits, turns, cancellation, failures, and the end of the engine."""

import asyncio
import gc
import json
import math
import weakref
from typing import Any

import anyio
import pytest
import torch
from anyio.lowlevel import checkpoint

from functions.gpu.engine.loader import LoadedModel
from functions.gpu.engine.options import PrefixCache
from functions.gpu.engine.protocol import (
    EngineError,
    FinishReason,
    GrammarKind,
    GrammarSpec,
    InvalidPrompt,
    PromptTooLong,
    QueueFull,
    Sampling,
)
from tests.unit.gpu.engine.conftest import MakeEngine, MakeGated, engine_on, kv_bytes
from tests.unit.gpu.engine.transcripts import DEADLINE, Transcript, collect

pytestmark = pytest.mark.anyio

PROMPT = [40, 41, 42, 43, 44, 45]
GREEDY = Sampling(max_tokens=12, temperature=0, logprobs=0)


async def until(holds: Any) -> None:
    with anyio.fail_after(DEADLINE):
        while not holds():
            await anyio.sleep(0.002)


def begin(events: Any) -> asyncio.Task[Transcript]:
    return asyncio.create_task(collect(events))


async def test_prompt_logprobs_are_the_models_chunked_or_not(tiny: LoadedModel, make_engine: MakeEngine) -> None:
    prompt = list(range(20, 80))
    with torch.inference_mode():
        wanted = torch.log_softmax(tiny.model(torch.tensor([prompt])).logits[0].float(), -1)
    for options in ({}, {"step_tokens": 7, "max_running": 4}):
        engine = make_engine(tiny, **options)
        for _ in range(2):  # the second time the pages are cached, and yet every position is scored
            given = await collect(
                engine.generate([prompt], Sampling(max_tokens=0, prompt_logprobs=3), owner="somebody")
            )
            (prefilled,) = given.prompts
            assert [one.token.id for one in prefilled.logprobs] == prompt
            assert prefilled.logprobs[0].token.logprob is None
            for place, one in enumerate(prefilled.logprobs[1:]):
                assert one.token.logprob == pytest.approx(float(wanted[place, one.token.id]), abs=1e-4)
                assert [top.id for top in one.top] == wanted[place].topk(3).indices.tolist()
            assert given.choices[0].reason is FinishReason.LENGTH
            assert given.choices[0].count == 0


async def test_a_seed_is_not_moved_by_neighbours(exact: LoadedModel, make_engine: MakeEngine) -> None:
    wild = Sampling(
        max_tokens=30, temperature=1.3, top_p=0.95, top_k=40, min_p=0.01, seed=11, logprobs=2, presence_penalty=0.3,
        frequency_penalty=0.2, repetition_penalty=1.1, logit_bias={50: 2.0},
    )  # fmt: skip
    engine = make_engine(exact, queue_limit=100)
    alone = await collect(engine.generate([PROMPT], wild))
    crowd = [begin(engine.generate([[30 + n] * (n + 1)], Sampling(max_tokens=40, seed=n))) for n in range(31)]
    among = await collect(engine.generate([PROMPT], wild))
    assert among.tokens == alone.tokens
    await asyncio.gather(*crowd)
    other = await collect(engine.generate([PROMPT], Sampling(max_tokens=30, temperature=1.3, seed=12, logprobs=0)))
    assert other.tokens != alone.tokens


async def test_choices_share_one_prompt_and_differ(exact: LoadedModel, make_engine: MakeEngine) -> None:
    sampling = Sampling(max_tokens=20, n=8, seed=5, logprobs=0)
    engine = make_engine(exact, prefix_cache=PrefixCache.OFF)
    first = await collect(engine.generate([PROMPT, PROMPT[::-1]], sampling))
    assert sorted(first.choices) == list(range(16))
    assert [one.prompt for one in first.prompts] == [0, 1]
    assert engine.figures().prompt_tokens_total == 2 * len(PROMPT)  # not 16 times
    assert len({tuple(choice.tokens) for choice in first.choices.values()}) > 12
    again = await collect(engine.generate([PROMPT, PROMPT[::-1]], sampling))
    assert again.choices == first.choices
    # With hardly any pages, siblings wait, lose their pages, and say the same.
    poor = make_engine(exact, kv_bytes=kv_bytes(exact, 12), prefix_cache=PrefixCache.OFF)
    assert (await collect(poor.generate([PROMPT, PROMPT[::-1]], sampling))).choices == first.choices
    assert poor.figures().preemptions_total > 0
    assert poor.figures().pages_used == 0


async def test_cancelling_frees_the_pages_within_one_step(tiny: LoadedModel, make_gated: MakeGated) -> None:
    engine, gate = make_gated(tiny)
    events = engine.generate([PROMPT], Sampling(max_tokens=100, n=3, seed=1))
    reading = asyncio.ensure_future(anext(events))
    gate.open(5)
    await reading
    await until(lambda: gate.waiting and gate.steps == 5)
    assert engine.figures().pages_used > 0
    await events.aclose()
    gate.open(1)  # the step that was under way
    await until(lambda: engine.figures().pages_used == 0)
    assert gate.steps == 6
    assert engine.figures().running == 0


async def test_a_full_queue_refuses_with_numbers_and_leaves_places_for_others(
    tiny: LoadedModel, make_gated: MakeGated
) -> None:
    engine, gate = make_gated(tiny, queue_limit=8, max_running=1)
    running = begin(engine.generate([PROMPT], GREEDY, owner="flood"))
    gate.open(1)
    await until(lambda: engine.figures().running == 1 and engine.figures().waiting == 0)
    flood = [begin(engine.generate([PROMPT], GREEDY, owner="flood")) for _ in range(6)]
    await until(lambda: engine.figures().waiting == 6)
    with pytest.raises(QueueFull) as refused:
        await collect(engine.generate([PROMPT], GREEDY, owner="flood"))
    assert (refused.value.waiting, refused.value.limit, refused.value.own) == (6, 8, 6)
    assert 1 <= refused.value.retry_after_s <= 60
    other = begin(engine.generate([PROMPT], GREEDY, owner="other"))
    await until(lambda: engine.figures().waiting == 7)
    gate.open()
    answers = await asyncio.gather(running, other, *flood)
    assert len({tuple(answer.tokens) for answer in answers}) == 1
    assert engine.figures().refused_total == 1


async def test_an_owner_with_nothing_running_gets_a_place_from_one_with_many(
    tiny: LoadedModel, make_gated: MakeGated
) -> None:
    engine, gate = make_gated(tiny, queue_limit=100, max_running=2)
    long = Sampling(max_tokens=150, temperature=0, logprobs=0)
    flood = [begin(engine.generate([PROMPT], long, owner="flood")) for _ in range(10)]
    gate.open(20)
    await until(lambda: gate.waiting and gate.steps == 20)
    other = begin(engine.generate([PROMPT], GREEDY, owner="other"))
    gate.open(30)  # a small part of what the flood's first two need
    answer = await other
    assert len(answer.tokens) == 12
    assert engine.figures().preemptions_total == 1
    gate.open()
    assert len({tuple(one.tokens) for one in await asyncio.gather(*flood)}) == 1


async def test_a_pass_that_raises_ends_the_request_at_fault_alone(tiny: LoadedModel, make_gated: MakeGated) -> None:
    engine, gate = make_gated(tiny)
    bad_token = 77

    def explode(ids: list[int]) -> None:
        if bad_token in ids:
            raise RuntimeError("boom")

    gate.before = explode
    gate.open()
    alone = await collect(engine.generate([PROMPT], GREEDY))
    tasks = [begin(engine.generate([PROMPT], GREEDY)) for _ in range(5)]
    bad = begin(engine.generate([[50, bad_token]], GREEDY))
    tasks += [begin(engine.generate([PROMPT], GREEDY)) for _ in range(5)]
    with pytest.raises(EngineError, match="boom"):
        await bad
    assert {tuple(one.tokens) for one in await asyncio.gather(*tasks)} == {tuple(alone.tokens)}
    assert engine.alive
    assert engine.figures().failed_total == 1
    assert engine.figures().pages_used == 0


async def test_logits_that_are_no_numbers_end_their_request_alone(tiny: LoadedModel, make_gated: MakeGated) -> None:
    engine, gate = make_gated(tiny)
    gate.open()
    alone = await collect(engine.generate([PROMPT], GREEDY))

    def spoil(output: Any) -> None:
        if output.logits.shape[1] == 3:  # of three rows the second
            output.logits[0, 1] = math.nan

    gate.after = spoil
    gate._permits = type(gate._permits)(0)  # shut again, so that the three meet
    tasks = [begin(engine.generate([PROMPT], GREEDY)) for _ in range(3)]
    for _ in range(10):
        await checkpoint()  # all of them are submitted
    gate.open()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    failed = [one for one in results if isinstance(one, EngineError)]
    whole = [one for one in results if isinstance(one, Transcript)]
    assert "not numbers" in str(failed[0])
    assert whole
    assert all(one.tokens == alone.tokens for one in whole)


async def test_a_device_that_breaks_ends_everything_and_says_so(
    tiny: LoadedModel, make_gated: MakeGated, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, gate = make_gated(tiny)

    def explode(_: list[int]) -> None:
        raise RuntimeError("illegal access")

    def broken() -> None:
        raise RuntimeError("the device answers nothing")

    gate.before = explode
    monkeypatch.setattr(engine._machine._runner, "check", broken)
    tasks = [begin(engine.generate([PROMPT], GREEDY)) for _ in range(3)]
    gate.open()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(one, EngineError) for one in results)
    assert not engine.alive
    with pytest.raises(EngineError, match="closed"):
        await collect(engine.generate([PROMPT], GREEDY))


@pytest.mark.parametrize(
    ("prompts", "sampling", "error"),
    [
        ([], GREEDY, InvalidPrompt),
        ([[]], GREEDY, InvalidPrompt),
        ([[-1]], GREEDY, InvalidPrompt),
        ([[10**6]], GREEDY, InvalidPrompt),
        ([[5]], Sampling(max_tokens=1, logit_bias={10**6: 1.0}), InvalidPrompt),
        ([[5]], Sampling(max_tokens=1, stop_token_ids=frozenset({10**6})), InvalidPrompt),
        ([[5] * 250], GREEDY, PromptTooLong),
    ],
)
async def test_what_cannot_be_is_refused_before_it_waits(
    tiny: LoadedModel, make_engine: MakeEngine, prompts: list[list[int]], sampling: Sampling, error: type[EngineError]
) -> None:
    engine = make_engine(tiny)
    with pytest.raises(error):
        await collect(engine.generate(prompts, sampling))
    assert engine.figures().waiting == 0


async def test_a_pool_smaller_than_the_context_is_the_context(tiny: LoadedModel, make_engine: MakeEngine) -> None:
    engine = make_engine(tiny, kv_bytes=kv_bytes(tiny, 10))
    assert engine.context_length == 40
    with pytest.raises(PromptTooLong) as refused:
        await collect(engine.generate([[5] * 30], GREEDY))
    assert (refused.value.prompt_tokens, refused.value.max_tokens, refused.value.context_length) == (30, 12, 40)
    assert (await collect(engine.generate([[5] * 28], GREEDY))).choices[0].count == 12


async def test_where_answers_end(tiny: LoadedModel, make_engine: MakeEngine) -> None:
    engine = make_engine(tiny)
    free = (await collect(engine.generate([PROMPT], Sampling(max_tokens=30, temperature=0, logprobs=0)))).choices[0]
    third = free.tokens[2]

    async def ask(**changes: Any) -> Any:
        sampling = Sampling(**{"max_tokens": 30, "temperature": 0, "logprobs": 0, **changes})
        return (await collect(engine.generate([PROMPT], sampling))).choices[0]

    stopped = await ask(stop_token_ids=frozenset({third}))
    assert (stopped.reason, stopped.count) == (FinishReason.STOP, free.tokens.index(third) + 1)
    later = await ask(stop_token_ids=frozenset({third}), min_tokens=10)
    assert third not in later.tokens[:10]
    text = free.text[2:6]
    cut = await ask(stop=(text,))
    assert cut.reason is FinishReason.STOP
    assert cut.text == free.text[: free.text.index(text)]
    assert len((await ask(stop=(text,), min_tokens=25)).text) > len(cut.text)


async def test_the_cache_is_an_owners_own(tiny: LoadedModel, make_engine: MakeEngine) -> None:
    prompt = list(range(20, 60))
    for mode, found in ((PrefixCache.OWNER, 0), (PrefixCache.SHARED, 36), (PrefixCache.OFF, 0)):
        engine = make_engine(tiny, prefix_cache=mode)
        first = await collect(engine.generate([prompt], GREEDY, owner="one"))
        other = await collect(engine.generate([prompt], GREEDY, owner="other"))
        same = await collect(engine.generate([prompt], GREEDY, owner="one"))
        assert first.prompts[0].cached_tokens == 0
        assert other.prompts[0].cached_tokens == found
        assert same.prompts[0].cached_tokens == (0 if mode is PrefixCache.OFF else 36)
        assert first.tokens == other.tokens == same.tokens


async def test_schemas_hold_under_load(tiny: LoadedModel, make_engine: MakeEngine) -> None:
    engine = make_engine(tiny, queue_limit=100)
    schema = {
        "type": "object",
        "properties": {"a": {"type": "integer", "minimum": 0, "maximum": 99}, "b": {"enum": ["x", "yy"]}},
        "required": ["a", "b"],
        "additionalProperties": False,
    }
    grammar = await engine.compile(GrammarSpec(GrammarKind.JSON_SCHEMA, json.dumps(schema)))
    crowd = [begin(engine.generate([[30 + n]], Sampling(max_tokens=30, seed=n))) for n in range(20)]
    held = [
        begin(engine.generate([PROMPT], Sampling(max_tokens=100, temperature=2.0, seed=n, n=2, grammar=grammar)))
        for n in range(20)
    ]
    for answer in await asyncio.gather(*held):
        for choice in answer.choices.values():
            read = json.loads(choice.text)
            assert 0 <= read["a"] <= 99
            assert read["b"] in ("x", "yy")
            assert choice.reason is FinishReason.STOP
    await asyncio.gather(*crowd)


class Late:
    """A mask that is not ready until it is told so."""

    def __init__(self) -> None:
        self.come = False
        self.done = False

    def start(self, token: int | None = None) -> None:
        pass

    def ready(self) -> bool:
        return self.come

    def take(self) -> Any:
        raise EngineError("what may come next was not known in time")


async def test_a_late_mask_holds_up_nobody_and_fails_alone(
    tiny: LoadedModel, make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, late = make_engine(tiny), Late()
    grammar = await engine.compile(GrammarSpec(GrammarKind.CHOICE, '["a"]'))
    monkeypatch.setattr(type(grammar), "matcher", lambda _: late)
    waits = begin(engine.generate([PROMPT], Sampling(max_tokens=5, grammar=grammar)))
    await until(lambda: engine.figures().running == 1)
    assert len((await collect(engine.generate([PROMPT], GREEDY))).tokens) == 12
    assert not waits.done()
    late.come = True
    with pytest.raises(EngineError, match="in time"):
        await waits
    assert engine.figures().pages_used == 0


async def test_close_ends_everything_and_frees_the_model(tiny: LoadedModel) -> None:
    engine, model = engine_on(tiny)
    endless = Sampling(max_tokens=200, temperature=0, ignore_eos=True)
    tasks = [begin(engine.generate([PROMPT], endless)) for _ in range(3)]
    await until(lambda: engine.figures().running > 0)
    await engine.close()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(one, EngineError | Transcript) for one in results)
    freed = weakref.ref(model)
    del model, tasks, results
    gc.collect()
    assert freed() is None
