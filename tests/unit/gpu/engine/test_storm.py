"""Five hundred mixed requests, some cancelled, some poisoned: every other answer is as if alone."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from functions.gpu.engine.engine import ContinuousEngine
from functions.gpu.engine.options import EngineOptions, Pooling, PrefixCache
from functions.gpu.engine.protocol import (
    EngineError,
    GrammarKind,
    GrammarSpec,
    InvalidGrammar,
    InvalidPrompt,
    PromptTooLong,
    Sampling,
)
from tests.tiny_model import CONTEXT_LENGTH
from tests.unit.gpu.engine.lineup import FOLDER, SIZES, TOKENIZER, as_loaded, make_model
from tests.unit.gpu.engine.transcripts import Transcript, collect

pytestmark = pytest.mark.anyio

REQUESTS = 500
ALONE = 120  # of the answers that are computed once more, alone
POISON = 7  # a token whose embedding is no number, and so everything behind it
BOMB = 11  # a token that the forward pass raises at
VOCABULARY = SIZES["vocab_size"]
FORMS = {
    GrammarKind.JSON_SCHEMA: json.dumps(
        {"type": "object", "properties": {"a": {"enum": ["x", "y"]}}, "required": ["a"], "additionalProperties": False}
    ),
    GrammarKind.CHOICE: json.dumps(["yes", "no", "perhaps"]),
    GrammarKind.REGEX: "[0-9]{3}-[a-f]{2}",
}


class Bomb(torch.nn.Module):
    """Raises where the bomb is among the tokens."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, ids: Any) -> Any:
        if bool((ids == BOMB).any()):
            raise RuntimeError("boom")
        return self.inner(ids)


@pytest.fixture(scope="module")
def model() -> Any:
    """In float64: in float32 the last bits depend on the batch, and once in a long while a sampled token on them."""
    model = make_model("llama").double()
    with torch.no_grad():
        model.get_input_embeddings().weight[POISON] = torch.nan
    return model


@pytest.fixture
async def engine(model: Any) -> AsyncIterator[ContinuousEngine]:
    """Pages for a few sequences only, and room for everybody to wait."""
    config = model.config
    page = 2 * config.num_hidden_layers * 8 * config.num_key_value_heads * config.head_dim * 8
    options = EngineOptions(
        FOLDER,
        queue_limit=4 * REQUESTS,
        max_running=24,
        step_tokens=48,
        page_tokens=8,
        kv_bytes=96 * page,
        prefix_cache=PrefixCache.SHARED,
        pooling=Pooling.MEAN,
    )
    engine = ContinuousEngine(as_loaded(model, frozenset({TOKENIZER.eos_token_id})), options)
    engine._machine._runner._model.base_model.embed_tokens = Bomb(model.base_model.embed_tokens)
    yield engine
    model.base_model.embed_tokens = model.base_model.embed_tokens.inner
    await engine.close()


@dataclass(slots=True)
class Ask:
    """One request. `patience` is how many events its caller reads before it goes; None: all."""

    prompts: list[list[int]]
    sampling: Sampling
    owner: str
    patience: int | None = None
    embeds: bool = False
    fails: type[EngineError] | None = None


def prompt_of(draw: random.Random, most: int = 60) -> list[int]:
    return [draw.randrange(12, VOCABULARY) for _ in range(draw.randint(1, most))]


async def asks(engine: ContinuousEngine, draw: random.Random) -> list[Ask]:
    grammars = [await engine.compile(GrammarSpec(kind, text)) for kind, text in FORMS.items()]
    beginnings = [prompt_of(draw, 40) for _ in range(3)]
    made = []
    for number in range(REQUESTS):
        prompt = prompt_of(draw)
        if draw.random() < 0.3:
            prompt = draw.choice(beginnings) + prompt[:10]
        owner = f"owner {draw.randrange(5)}"
        sampling = Sampling(
            max_tokens=draw.randint(1, 24),
            temperature=draw.choice([0.0, 0.7, 1.0, 1.5]),
            top_p=draw.choice([1.0, 0.9]),
            top_k=draw.choice([0, 0, 20]),
            min_p=draw.choice([0.0, 0.0, 0.05]),
            seed=number,
            n=draw.choice([1, 1, 1, 1, 3]),
            presence_penalty=draw.choice([0.0, 0.0, 0.5]),
            frequency_penalty=draw.choice([0.0, 0.0, 0.5]),
            repetition_penalty=draw.choice([1.0, 1.0, 1.2]),
            stop=draw.choice([(), (), ("a", "th")]),
            logit_bias={POISON: -100.0, BOMB: -100.0},  # only a prompt can have them
            logprobs=draw.choice([0, 3]),
            prompt_logprobs=draw.choice([None, None, 0, 2]),
            ignore_eos=draw.choice([False, True]),
            grammar=draw.choice([None, None, None, *grammars]),
        )
        ask = Ask([prompt, *[prompt_of(draw) for _ in range(draw.choice([0, 0, 0, 1]))]], sampling, owner)
        fate = draw.random()
        if fate < 0.15:
            ask.patience = draw.randint(0, 6)
        elif fate < 0.20:
            ask.prompts[0].insert(draw.randrange(len(prompt) + 1), POISON)
            ask.fails = EngineError
        elif fate < 0.25:
            ask.prompts[0].insert(draw.randrange(len(prompt) + 1), BOMB)
            ask.fails = EngineError
        elif fate < 0.28:
            ask.prompts[0] = [20] * (CONTEXT_LENGTH + 1)
            ask.fails = PromptTooLong
        elif fate < 0.31:
            ask.prompts[0].append(VOCABULARY)
            ask.fails = InvalidPrompt
        elif fate < 0.36:
            ask.embeds = True
        made.append(ask)
    return made


async def served(engine: ContinuousEngine, ask: Ask) -> Any:
    """The answer, the embedding, or what the request failed of. None where the caller went."""
    try:
        if ask.embeds:
            return [vector.tolist() for vector in await engine.embed(ask.prompts, owner=ask.owner)]
        events = engine.generate(ask.prompts, ask.sampling, owner=ask.owner)
        if ask.patience is None:
            return await collect(events)
        for _ in range(ask.patience):
            await anext(events, None)
        await events.aclose()
    except EngineError as error:
        return error


def said(answer: Transcript) -> list[tuple[Any, ...]]:
    return [(index, one.text, one.tokens, one.reason, one.count) for index, one in sorted(answer.choices.items())]


async def bad_schemas(engine: ContinuousEngine) -> None:
    for text in ('{"type": "nonsense"}', "{", '{"$ref": "http://elsewhere.example/schema"}'):
        with pytest.raises(InvalidGrammar):
            await engine.compile(GrammarSpec(GrammarKind.JSON_SCHEMA, text))


async def test_a_storm_leaves_every_other_answer_as_if_alone(engine: ContinuousEngine) -> None:
    storm = await asks(engine, random.Random(3))
    results, _ = await asyncio.gather(
        asyncio.gather(*(served(engine, ask) for ask in storm)),
        bad_schemas(engine),
    )
    for ask, result in zip(storm, results, strict=True):
        if ask.fails is not None:
            assert type(result) is ask.fails, result
        elif ask.patience is None:
            assert not isinstance(result, EngineError), result

    figures = engine.figures()
    assert figures.preemptions_total > 0
    assert figures.cached_tokens_total > 0
    assert (figures.pages_used, figures.running, figures.waiting) == (0, 0, 0)
    assert figures.pages_cached <= figures.pages

    whole = [place for place, ask in enumerate(storm) if ask.fails is None and ask.patience is None]
    for place in random.Random(4).sample(whole, ALONE):
        ask, result = storm[place], results[place]
        alone = await served(engine, ask)
        if ask.embeds:
            assert all(one == pytest.approx(other, abs=1e-5) for one, other in zip(alone, result, strict=True))
        else:
            assert said(alone) == said(result)
    assert engine.figures().pages_used == 0
