"""What one answer is: its text, its length, how it ends, and the probabilities it comes with."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from functions.gpu.engine.engine import ContinuousEngine
from functions.gpu.engine.loader import LoadedModel
from functions.gpu.engine.protocol import Delta, FinishReason, Sampling
from tests.unit.gpu.engine.conftest import MakeEngine
from tests.unit.gpu.engine.transcripts import Choice, collect

pytestmark = pytest.mark.anyio

PROMPT = [40, 41, 42]
LONG = list(range(20, 110))
COUNT = 60


@pytest.fixture
def endless(tiny: LoadedModel, make_engine: MakeEngine) -> ContinuousEngine:
    return make_engine(replace(tiny, end_ids=frozenset()))


async def ask(engine: ContinuousEngine, prompt: list[int] = PROMPT, **options: Any) -> Choice:
    """The greedy answer."""
    sampling = Sampling(**{"max_tokens": COUNT, "temperature": 0, "logprobs": 0, **options})
    return (await collect(engine.generate([prompt], sampling))).choices[0]


def text_of(loaded: LoadedModel, tokens: list[int]) -> str:
    return str(loaded.tokenizer.decode(tokens, skip_special_tokens=True))


async def test_the_text_is_the_decode_of_all_tokens(tiny: LoadedModel, endless: ContinuousEngine) -> None:
    for prompt in (PROMPT, LONG, [7]):
        answer = await ask(endless, prompt)
        assert answer.text == text_of(tiny, answer.tokens)
        assert answer.count == len(answer.tokens) == COUNT
        assert answer.reason is FinishReason.LENGTH


async def test_an_end_token_is_counted_and_has_no_text(
    tiny: LoadedModel, endless: ContinuousEngine, make_engine: MakeEngine
) -> None:
    free = await ask(endless)
    place = next(place for place in range(5, COUNT) if free.tokens[place] not in free.tokens[:place])
    ending = make_engine(replace(tiny, end_ids=frozenset({free.tokens[place]})))
    answer = await ask(ending)
    assert (answer.reason, answer.count) == (FinishReason.STOP, place + 1)
    assert answer.text == text_of(tiny, free.tokens[:place])
    ignoring = await ask(ending, ignore_eos=True)
    assert (ignoring.tokens, ignoring.reason) == (free.tokens, FinishReason.LENGTH)
    later = await ask(ending, min_tokens=place + 3)
    assert later.count >= place + 3
    assert later.tokens[:place] == free.tokens[:place]
    assert free.tokens[place] not in later.tokens


async def test_the_whole_context_can_be_used_and_an_answer_can_be_empty(
    tiny: LoadedModel, endless: ContinuousEngine
) -> None:
    room = tiny.context_length - len(LONG)
    full = await ask(endless, LONG, max_tokens=room)
    assert (full.reason, full.count) == (FinishReason.LENGTH, room)
    empty = await ask(endless, LONG, max_tokens=0)
    assert (empty.text, empty.reason, empty.count) == ("", FinishReason.LENGTH, 0)


@pytest.mark.parametrize("length", [1, 3, 7])
@pytest.mark.parametrize("start", [0, 6, 11])
async def test_a_stop_string_ends_the_text_before_it(endless: ContinuousEngine, start: int, length: int) -> None:
    whole = (await ask(endless)).text
    stop = whole[start : start + length]  # of several tokens, or a part of one
    answer = await ask(endless, stop=("never said", stop))
    assert answer.text == whole[: whole.index(stop)]
    assert answer.reason is FinishReason.STOP
    assert answer.count < COUNT


async def test_a_beginning_of_a_stop_string_leaves_at_the_end(endless: ContinuousEngine) -> None:
    whole = (await ask(endless, max_tokens=12)).text
    waiting = await ask(endless, max_tokens=12, stop=(whole[-3:] + "and more",))
    assert (waiting.text, waiting.reason) == (whole, FinishReason.LENGTH)


@pytest.mark.parametrize("options", [{}, {"step_tokens": 16, "max_running": 4}, {"page_tokens": 64}], ids=str)
async def test_probabilities_are_the_models_own(
    tiny: LoadedModel, make_engine: MakeEngine, options: dict[str, Any]
) -> None:
    """However the prompt came in, and whatever the options made of the logits."""
    engine = make_engine(replace(tiny, end_ids=frozenset()), **options)
    wild = Sampling(
        max_tokens=30, temperature=1.7, top_k=50, seed=2, logprobs=4, repetition_penalty=1.3, logit_bias={50: 3.0}
    )
    for _ in range(2):  # the second time behind a prefix that is known
        events = [event async for event in engine.generate([LONG], wild)]
        given = [one for event in events if isinstance(event, Delta) for one in event.logprobs]
        ids = [one.token.id for one in given]
        with torch.inference_mode():
            logits = tiny.model(torch.tensor([LONG + ids])).logits[0, len(LONG) - 1 : -1]
        wanted = torch.log_softmax(logits.float(), -1)
        for row, one in zip(wanted, given, strict=True):
            assert one.token.logprob == pytest.approx(float(row[one.token.id]), abs=1e-4)
            assert [other.id for other in one.top] == row.topk(4).indices.tolist()
            assert [other.logprob for other in one.top] == pytest.approx(row.topk(4).values.tolist(), abs=1e-4)
            assert one.token.raw == tiny.vocabulary.bytes_of(one.token.id)
    assert engine.figures().cached_tokens_total >= 64


async def test_probabilities_change_nothing(endless: ContinuousEngine) -> None:
    assert (await ask(endless, logprobs=None)).text == (await ask(endless, logprobs=20)).text
