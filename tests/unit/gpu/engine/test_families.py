"""Greedy answers equal those of `model.generate`, token for token, however the engine gets to them."""

import asyncio
import random
from functools import cache
from typing import Any

import pytest

from functions.gpu.engine.engine import ContinuousEngine
from functions.gpu.engine.options import EngineOptions, PrefixCache
from functions.gpu.engine.protocol import Sampling
from tests.unit.gpu.engine.lineup import CONFIGS, FOLDER, SIZES, Reference, as_loaded, make_model, reference
from tests.unit.gpu.engine.transcripts import collect

pytestmark = pytest.mark.anyio

AT_ONCE = 64
SHARED = 70  # tokens that some prompts begin with


@cache
def model_of(family: str) -> Any:
    return make_model(family)


@cache
def references(family: str) -> list[Reference]:
    """Prompts of all lengths, some with one beginning, and answers that no rounding decides."""
    draw = random.Random(7)
    beginning = [draw.randrange(3, SIZES["vocab_size"]) for _ in range(SHARED)]
    found: list[Reference] = []
    while len(found) < AT_ONCE:
        prompt = [draw.randrange(3, SIZES["vocab_size"]) for _ in range(draw.randint(1, 110))]
        if len(found) % 4 == 0:
            prompt = beginning + prompt[:20]
        one = reference(model_of(family), prompt, draw.randint(1, 40))
        found += [one] if one else []
    return found


async def check(engine: ContinuousEngine, wanted: list[Reference]) -> None:
    """Ask for all at once."""
    given = await asyncio.gather(
        *(
            collect(engine.generate([one.prompt], Sampling(max_tokens=len(one.answer), temperature=0, logprobs=0)))
            for one in wanted
        )
    )
    assert [answer.tokens for answer in given] == [one.answer for one in wanted]
    assert engine.figures().pages_used == 0


def kv_bytes(family: str, tokens: int) -> int:
    """Memory for the keys and values of so many tokens in float32."""
    config = CONFIGS[family]
    return tokens * 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim * 4


@pytest.mark.parametrize("family", CONFIGS)
async def test_sixty_four_at_once(family: str) -> None:
    wanted = references(family)
    engine = ContinuousEngine(as_loaded(model_of(family)), EngineOptions(FOLDER, queue_limit=2 * AT_ONCE))
    await check(engine, wanted)
    await check(engine, wanted)  # and again, now from the prefix cache
    assert engine.figures().cached_tokens_total > SHARED
    await engine.close()


@pytest.mark.parametrize("family", CONFIGS)
async def test_few_pages_preempt_and_compute_again(family: str) -> None:
    wanted = references(family)
    options = EngineOptions(FOLDER, queue_limit=2 * AT_ONCE, kv_bytes=kv_bytes(family, 320), page_tokens=8)
    engine = ContinuousEngine(as_loaded(model_of(family)), options)
    await check(engine, wanted)
    assert engine.figures().preemptions_total > 0
    await engine.close()


@pytest.mark.parametrize("family", CONFIGS)
async def test_small_chunks_of_prompts_between_steps_of_others(family: str) -> None:
    wanted = references(family)
    options = EngineOptions(
        FOLDER, queue_limit=2 * AT_ONCE, max_running=8, step_tokens=12, page_tokens=4, prefix_cache=PrefixCache.OFF
    )
    engine = ContinuousEngine(as_loaded(model_of(family)), options)
    await check(engine, wanted[:32])
    figures = engine.figures()
    assert figures.cached_tokens_total == 0
    assert figures.steps_total > figures.prompt_tokens_total / 12
    await engine.close()
