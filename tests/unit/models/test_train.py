"""Training: what the model reads is what the chat template writes, and the same seed gives the same weights."""

from itertools import islice
from random import Random
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from models.dialogues.chat import Turn, dialogue
from models.measure import DEMO
from models.train import BATCH_TOKENS, CONTEXT, IGNORED, Reader, batches, learn, new_model, rate


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(DEMO)


def test_it_reads_a_dialogue_as_the_template_writes_it(tokenizer: Any) -> None:
    rng = Random(1)
    for _ in range(50):
        turns = dialogue(rng)
        messages = [{"role": turn.role, "content": turn.content} for turn in turns]
        written = tokenizer.apply_chat_template(messages)["input_ids"]
        assert Reader(tokenizer).read(turns)[0] == written[:CONTEXT]


def test_only_answers_are_learned(tokenizer: Any) -> None:
    turns = [
        Turn("user", "Hi!"),
        Turn("assistant", "cut sh"),
        Turn("user", "Hi!"),
        Turn("assistant", "Hello.", learn=True),
    ]
    _, labels = Reader(tokenizer).read(turns)
    learned = [label for label in labels if label != IGNORED]
    assert tokenizer.decode(learned) == "Hello.<|end|>"


def test_batches_hold_no_more_than_they_may(tokenizer: Any) -> None:
    for ids, labels in islice(batches(Reader(tokenizer), Random(2)), 40):
        assert ids.shape == labels.shape
        assert ids.numel() <= BATCH_TOKENS


def test_the_rate_climbs_and_falls() -> None:
    rates = [rate(step, 1000) for step in range(1000)]
    top = rates.index(max(rates))
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[-1] < 0.001


def test_the_same_seed_gives_the_same_weights(tokenizer: Any) -> None:
    def weights() -> dict[str, Any]:
        torch.manual_seed(3)
        model = new_model(tokenizer)
        small = ((ids[:4], labels[:4]) for ids, labels in batches(Reader(tokenizer), Random(3)) if ids.shape[1] < 100)
        assert list(learn(model, small, 2)) == [1, 2]
        return dict(model.state_dict())

    first, second = weights(), weights()
    assert all(torch.equal(first[name], second[name]) for name in first)
