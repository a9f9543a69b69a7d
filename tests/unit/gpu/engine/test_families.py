"""Token for token what transformers' `generate` gives, in every family and in every way that a batch can go."""

import asyncio
from pathlib import Path
from random import Random

import pytest
import torch
from transformers import AutoTokenizer

from functions.gpu.engine.loader import LoadedModel, load
from functions.gpu.engine.options import EngineOptions, PrefixCache
from functions.gpu.engine.protocol import Sampling
from tests.unit.gpu.engine.answers import ask_one
from tests.unit.gpu.engine.conftest import DEMO_MODEL, MakeEngine, engine_on, kv_bytes
from tests.unit.gpu.engine.families import FAMILIES, load_family, reference

pytestmark = pytest.mark.anyio

NEW = 24  # tokens of each answer
MANY = 64  # requests at once
DEMO_PAGES = 24  # of 16 tokens

Wanted = list[tuple[list[int], list[int]]]
"""Prompts, and the answers to them."""


def make_prompts(seed: int) -> list[list[int]]:
    """Of all lengths; every fourth begins as others do."""
    random = Random(seed)
    shared = [random.randrange(3, 300) for _ in range(22)]
    prompts = [[random.randrange(3, 300) for _ in range(random.choice([1, 3, 17, 40, 90]))] for _ in range(MANY)]
    return [shared + prompt[:9] if place % 4 == 0 else prompt for place, prompt in enumerate(prompts)]


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_family(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def wanted(family: LoadedModel) -> Wanted:
    """The prompts whose answers rounding cannot decide: nearly all of them."""
    found = [(prompt, answer) for prompt in make_prompts(1) if (answer := reference(family, prompt, NEW))]
    assert len(found) > MANY // 2
    return found


async def answer_all(engine: object, wanted: Wanted) -> list[list[int]]:
    sampling = Sampling(max_tokens=NEW, temperature=0, logprobs=0)
    found = await asyncio.gather(*(ask_one(engine, prompt, sampling) for prompt, _ in wanted))  # type: ignore[arg-type]
    return [answer.ids for answer in found]
