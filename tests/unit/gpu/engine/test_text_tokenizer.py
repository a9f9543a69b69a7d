"""Plain texts to ids and back: exactly as the model's own tokenizer, special tokens included."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import processors
from transformers import AutoTokenizer

from functions.gpu.engine.protocol import InvalidPrompt
from functions.gpu.engine.text_tokenizer import TextTokenizer
from tests.tiny_model import CONTROL_TOKENS, make_tokenizer
from tests.unit.gpu.engine.conftest import DEMO_MODEL


def make_beginning_tokenizer() -> Any:
    """One that begins each text with a token, as Llama's does."""
    tokenizer = make_tokenizer()
    begin = (CONTROL_TOKENS[0], tokenizer.convert_tokens_to_ids(CONTROL_TOKENS[0]))
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin[0]} $A", special_tokens=[begin]
    )
    return tokenizer


TOKENIZERS = {
    "plain": make_tokenizer(),
    "beginning": make_beginning_tokenizer(),
    "demo": AutoTokenizer.from_pretrained(DEMO_MODEL, local_files_only=True),
}
every_tokenizer = pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=TOKENIZERS.keys())
TEXTS = st.lists(st.one_of(st.text(st.characters(codec="utf-8")), st.sampled_from(CONTROL_TOKENS))).map("".join)


@every_tokenizer
@given(TEXTS)
def test_ids_are_those_of_the_models_tokenizer(tokenizer: Any, text: str) -> None:
    assert TextTokenizer(tokenizer.backend_tokenizer).encode(text) == tokenizer(text)["input_ids"]


@every_tokenizer
@given(TEXTS)
def test_a_text_comes_back_behind_its_beginning(tokenizer: Any, text: str) -> None:
    texts = TextTokenizer(tokenizer.backend_tokenizer)
    assert texts.decode(texts.encode(text)) == texts.decode(texts.encode("")) + text


def test_special_tokens_are_such_both_ways() -> None:
    texts = TextTokenizer(TOKENIZERS["beginning"].backend_tokenizer)
    ids = texts.encode("Hi<|im_end|>")
    assert (ids[0], ids[-1]) == tuple(TOKENIZERS["plain"].convert_tokens_to_ids([CONTROL_TOKENS[0], "<|im_end|>"]))
    assert texts.decode(ids) == CONTROL_TOKENS[0] + "Hi<|im_end|>"


def test_threads_may_share_one() -> None:
    texts = TextTokenizer(TOKENIZERS["demo"].backend_tokenizer)
    many = [f"What is {n} and {n}? " * 20 for n in range(50)]
    alone = [texts.encode(text) for text in many]
    with ThreadPoolExecutor(4) as threads:
        assert [*threads.map(texts.encode, many)] == alone
        assert [*threads.map(texts.decode, alone)] == many


@pytest.mark.parametrize("text", ["\ud83d", "a\udc00b"])
def test_half_a_surrogate_pair_is_refused(text: str) -> None:
    with pytest.raises(InvalidPrompt, match="the text has half a surrogate pair"):
        TextTokenizer(TOKENIZERS["plain"].backend_tokenizer).encode(text)


def test_ids_of_no_token_have_no_text() -> None:
    texts = TextTokenizer(TOKENIZERS["plain"].backend_tokenizer)
    ids = texts.encode("edge")
    assert texts.decode([10**6, *ids, 2**32 - 1]) == "edge"


@pytest.mark.parametrize("token", [-1, 2**32])
def test_ids_of_no_machine_word_are_refused(token: int) -> None:
    with pytest.raises(InvalidPrompt, match="a token id is negative, or over 32 bits"):
        TextTokenizer(TOKENIZERS["plain"].backend_tokenizer).decode([token])
