"""What fails takes only its own request with it, all of it, also where its other choices are in the same step."""

import asyncio
import math
from dataclasses import replace
from typing import Any

import pytest

from functions.gpu.engine.engine import ContinuousEngine
from functions.gpu.engine.loader import LoadedModel
from functions.gpu.engine.options import Pooling
from functions.gpu.engine.protocol import EngineError, Sampling
from functions.gpu.engine.sampler import Picked
from tests.unit.gpu.engine.conftest import MakeEngine, MakeGated
from tests.unit.gpu.engine.gate import Gate
from tests.unit.gpu.engine.transcripts import collect

pytestmark = pytest.mark.anyio

PROMPT = [40, 41, 42, 43, 44, 45]
GREEDY = Sampling(max_tokens=12, temperature=0, logprobs=0)
BAD = 77  # a token


@pytest.fixture
def gated(exact: LoadedModel, make_gated: MakeGated) -> tuple[ContinuousEngine, Gate]:
    engine, gate = make_gated(exact)
    gate.open()
    return engine, gate


def raising_at(token: int) -> Any:
    """A pass that raises wherever this token is in it."""

    def raise_there(ids: list[int]) -> None:
        if token in ids:
            raise RuntimeError("boom")

    return raise_there


async def fails_alone(engine: ContinuousEngine, prompts: list[list[int]], sampling: Sampling, reason: str) -> None:
    """This request fails while a neighbour gets its answer, and nothing of it is left."""
    neighbour = asyncio.create_task(collect(engine.generate([PROMPT], GREEDY)))
    with pytest.raises(EngineError, match=reason):
        await collect(engine.generate(prompts, sampling))
    answer = await neighbour
    assert engine.alive
    assert (await collect(engine.generate([PROMPT], GREEDY))).tokens == answer.tokens
    figures = engine.figures()
    assert (figures.running, figures.waiting, figures.pages_used, figures.failed_total) == (0, 0, 0, 1)


@pytest.mark.parametrize("at_fault", range(4))
async def test_choices_that_end_in_the_step_in_which_their_sibling_fails(
    gated: tuple[ContinuousEngine, Gate], at_fault: int
) -> None:
    engine, gate = gated
    choices = Sampling(max_tokens=2, temperature=3.0, n=4, seed=8, logprobs=0)
    given = await collect(engine.generate([PROMPT], choices))
    first = [given.choices[index].tokens[0] for index in range(4)]
    assert len({*first, *PROMPT}) == 4 + len(PROMPT)
    gate.before = raising_at(first[at_fault])
    await fails_alone(engine, [PROMPT], choices, "boom")


@pytest.mark.parametrize("prompts", [[[50, 51, 52], [60, BAD]], [[60, BAD], [50, 51, 52]], [[50], [60, BAD], [61]]])
async def test_prompts_that_are_read_in_the_step_in_which_another_of_their_request_fails(
    gated: tuple[ContinuousEngine, Gate], prompts: list[list[int]]
) -> None:
    engine, gate = gated
    gate.before = raising_at(BAD)
    await fails_alone(engine, prompts, Sampling(max_tokens=9, n=3), "boom")


@pytest.mark.parametrize("row", [0, 2])
async def test_choices_that_end_in_the_step_in_which_a_siblings_logits_are_no_numbers(
    gated: tuple[ContinuousEngine, Gate], row: int
) -> None:
    engine, gate = gated

    def spoil(output: Any) -> None:
        if output.logits.shape[1] == 3:
            output.logits[0, row] = math.nan

    gate.after = spoil
    with pytest.raises(EngineError, match="not numbers"):
        await collect(engine.generate([PROMPT], Sampling(max_tokens=2, n=3, seed=1)))
    assert engine.alive
    assert engine.figures().pages_used == 0


def poisoned(loaded: LoadedModel) -> LoadedModel:
    """The model with a token behind which nothing is a number, keys and values neither."""
    weights = loaded.model.get_input_embeddings().weight
    spoilt = weights.clone()
    spoilt[BAD] = math.nan
    changed = {**loaded.model.state_dict(), "model.embed_tokens.weight": spoilt}
    model = type(loaded.model)(loaded.model.config).to(loaded.dtype).eval().requires_grad_(False)
    model.load_state_dict(changed)
    return replace(loaded, model=model, end_ids=frozenset())


@pytest.mark.parametrize("prompt", [[BAD, 50, 51], [50, 51, BAD], [50] * 20 + [BAD, *[51] * 20]])
@pytest.mark.parametrize("wanted", [None, 0, 3])
async def test_a_prompt_whose_logits_are_no_numbers(
    exact: LoadedModel, make_engine: MakeEngine, prompt: list[int], wanted: int | None
) -> None:
    engine = make_engine(poisoned(exact), max_running=4, step_tokens=16)
    sampling = Sampling(max_tokens=5, n=2, prompt_logprobs=wanted)
    await fails_alone(engine, [prompt], sampling, "not numbers")


@pytest.mark.parametrize("texts", [[[BAD, 5], [6, 7]], [[6, 7], [BAD, 5]], [[6], [BAD], [7]]])
async def test_texts_that_are_embedded_beside_one_that_cannot_be(
    exact: LoadedModel, make_engine: MakeEngine, texts: list[list[int]]
) -> None:
    engine = make_engine(poisoned(exact), pooling=Pooling.MEAN)
    whole = await engine.embed([[6, 7]])
    with pytest.raises(EngineError, match="hidden states that are not numbers"):
        await engine.embed(texts)
    assert await engine.embed([[6, 7]]) == whole
    assert engine.figures().pages_used == 0


async def test_what_a_spoilt_page_held_shows_in_no_later_answer(exact: LoadedModel, make_engine: MakeEngine) -> None:
    """Also where every page is used anew, and a masked place would be enough to spread it."""
    engine = make_engine(poisoned(exact), kv_bytes=None, max_running=2, step_tokens=16)
    answer = await collect(engine.generate([PROMPT], GREEDY))
    for _ in range(engine.figures().pages // 10):
        with pytest.raises(EngineError, match="not numbers"):
            await collect(engine.generate([[50] * 39 + [BAD]], GREEDY))
    for owner in map(str, range(20)):
        assert (await collect(engine.generate([PROMPT], GREEDY, owner=owner))).tokens == answer.tokens


async def test_a_sampler_that_fails_is_asked_for_each_and_draws_no_number_twice(
    exact: LoadedModel, make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make_engine(replace(exact, end_ids=frozenset()))
    sampled = Sampling(max_tokens=12, temperature=1.2, seed=3, logprobs=0)
    alone = await collect(engine.generate([PROMPT], sampled))
    sampler: Any = engine._machine.stepper._sampler
    settle = sampler.pick.__func__.__globals__["_settle"]

    def failing(block: Any) -> list[Picked | EngineError]:
        if any(BAD in row.prompt for row in block.rows):
            raise RuntimeError("out of memory")
        outcome: list[Picked | EngineError] = settle(block)
        return outcome

    monkeypatch.setitem(sampler.pick.__func__.__globals__, "_settle", failing)
    neighbours = [asyncio.create_task(collect(engine.generate([PROMPT], sampled))) for _ in range(3)]
    with pytest.raises(EngineError, match="no token could be picked: RuntimeError: out of memory"):
        await collect(engine.generate([[50, BAD]], Sampling(max_tokens=5)))
    for answer in await asyncio.gather(*neighbours):
        assert answer.tokens == alone.tokens
    assert engine.figures().pages_used == 0
