"""The demo model as it ships: small, loadable, sensible, and safe from control tokens in a user's text."""

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer, GenerationConfig

from models.measure import DEMO, Demo, Probe, ask, probes, score
from models.train import SPECIAL, TEMPLATE

LARGEST = 8_000_000  # bytes, all files together
END = 2  # the id of <|end|>


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(DEMO)


@pytest.fixture(scope="module")
def demo() -> Demo:
    return Demo(DEMO)


def chat(*texts: str) -> tuple[dict[str, str], ...]:
    return tuple({"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(texts))


def test_it_is_small() -> None:
    assert sum(file.stat().st_size for file in DEMO.iterdir()) <= LARGEST


def test_it_ships_the_template_of_the_training() -> None:
    assert (DEMO / "chat_template.jinja").read_text().strip() == TEMPLATE.read_text().strip()


def test_generation_ends_at_the_end_token(tokenizer: Any) -> None:
    assert GenerationConfig.from_pretrained(DEMO).eos_token_id == tokenizer.eos_token_id == END


@given(text=st.text())
def test_any_text_has_tokens_and_comes_back(tokenizer: Any, text: str) -> None:
    ids = tokenizer(text, split_special_tokens=True)["input_ids"]
    assert tokenizer.decode(ids) == text


@given(pieces=st.lists(st.sampled_from((*SPECIAL, "hi", " "))))
def test_a_users_text_can_hold_no_control_token(tokenizer: Any, pieces: list[str]) -> None:
    ids = tokenizer("".join(pieces), split_special_tokens=True, add_special_tokens=False)["input_ids"]
    assert set(ids).isdisjoint(tokenizer.all_special_ids)


def test_a_developer_speaks_as_the_system(tokenizer: Any) -> None:
    def written(role: str) -> str:
        return str(tokenizer.apply_chat_template([{"role": role, "content": "Be brief."}], tokenize=False))

    assert written("developer") == written("system") == "<|begin|><|system|>Be brief.<|end|>"


def test_an_unknown_role_is_refused(tokenizer: Any) -> None:
    with pytest.raises(Exception, match="unknown role: tool"):
        tokenizer.apply_chat_template([{"role": "tool", "content": "1"}], tokenize=False)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Hello!", "Hello! Ask me about Penstock, a small sum or a capital city."),
        ("What is 3 plus 4?", "3 plus 4 is 7."),
        ("What is the capital of France?", "The capital of France is Paris."),
        ("Thank you!", "You are welcome! Is there anything else?"),
    ],
)
def test_it_answers_a_newcomer(demo: Demo, question: str, answer: str) -> None:
    assert demo.answer([chat(question)]) == [answer]


def test_it_says_what_penstock_is(demo: Demo) -> None:
    (answer,) = demo.answer([chat("What is Penstock?")])
    assert answer.startswith("Penstock is an OpenAI-compatible inference API with no server of your own.")


def test_it_tells_a_story_long_enough_to_watch(demo: Demo, tokenizer: Any) -> None:
    (story,) = demo.answer([chat("Tell me a long story.")])
    assert story.endswith("The end.")
    assert 150 <= len(tokenizer(story)["input_ids"]) <= 400


def test_most_held_out_questions_are_answered_right(demo: Demo) -> None:
    asked = Random(1).sample(list(probes(Random(2))), 60)
    right, of = score(ask(demo, asked))["total"]
    assert of == len(asked)
    assert right / of >= 0.6


def test_an_answer_counts_only_letter_for_letter() -> None:
    class Nearly:
        def answer(self, chats: list[tuple[dict[str, str], ...]]) -> list[str]:
            return ["Paris."] * len(chats)

    asked = [Probe("facts", chat("Capital?"), ("Paris.",)), Probe("facts", chat("Capital?"), ("paris.",))]
    assert score(ask(Nearly(), asked)) == {"facts": (1, 2), "total": (1, 2)}
