"""What leaves of an answer: whole characters, nothing of a stop string, and stop strings only after min_tokens."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.gpu.engine.answer_text import AnswerText
from functions.gpu.engine.detokenizer import TokenText
from functions.gpu.engine.protocol import Sampling
from tests.tiny_model import make_tokenizer

TOKENIZER = make_tokenizer()
VOCABULARY = TokenText(TOKENIZER.backend_tokenizer)
LETTER: dict[str, int] = {letter: TOKENIZER.encode(letter)[0] for letter in "abx"}


def answer(tokens: list[int], **options: Any) -> tuple[list[str], AnswerText]:
    """The pieces that leave, up to the token that stops it."""
    text = AnswerText(VOCABULARY, Sampling(max_tokens=100, **options))
    pieces = []
    for token in tokens:
        pieces.append(text.push(token))
        if text.stopped:
            return pieces, text
    return [*pieces, text.finish()], text


def letters(text: str) -> list[int]:
    return [LETTER[letter] for letter in text]


@given(st.lists(st.integers(0, len(TOKENIZER) - 1), max_size=30), st.integers(0, 30))
def test_without_a_stop_string_all_text_leaves(tokens: list[int], least: int) -> None:
    pieces, text = answer(tokens, min_tokens=least)
    assert "".join(pieces) == TOKENIZER.decode(tokens, skip_special_tokens=True)
    assert not text.stopped


@given(st.text("abx", max_size=20), st.text("abx", min_size=1, max_size=3), st.integers(0, 20))
def test_a_stop_string_counts_where_all_of_it_comes_after_the_least(said: str, stop: str, least: int) -> None:
    pieces, text = answer(letters(said), stop=(stop,), min_tokens=least)
    end = said.find(stop, least)
    assert text.stopped is (end >= 0)
    assert "".join(pieces) == (said if end < 0 else said[:end])


@given(st.text("ab\u00e9\U0001f600", max_size=20))
def test_a_character_of_several_tokens_leaves_whole(said: str) -> None:
    pieces, _ = answer(TOKENIZER.encode(said), stop=("never",))
    assert "".join(pieces) == said
    assert not any("\ufffd" in piece for piece in pieces)


def test_what_may_begin_a_stop_string_is_held_back() -> None:
    pieces, _ = answer(letters("xab"), stop=("abb",))
    assert pieces == ["x", "", "", "ab"]


@pytest.mark.parametrize(
    ("stop", "least", "stopped"), [("a\ufffd", 0, True), ("a\ufffd", 2, False), ("\ufffd", 5, False)]
)
def test_half_a_character_at_the_end_may_complete_a_stop_string(stop: str, least: int, stopped: bool) -> None:
    half = TOKENIZER.encode("\u00e9")[0]
    pieces, text = answer([LETTER["a"], half], stop=(stop,), min_tokens=least)
    assert text.stopped is stopped
    assert "".join(pieces) == ("" if stopped else "a\ufffd")
