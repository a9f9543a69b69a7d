"""The expression that finds control tokens, held against trying them one by one."""

import re

from hypothesis import given
from hypothesis import strategies as st

from functions.gpu.engine.control_tokens import ControlTokens
from tests.tiny_model import make_tokenizer

TOKENS = st.text("<|ab.", min_size=1, max_size=6)


@given(st.sets(TOKENS, max_size=12), st.lists(TOKENS, max_size=8).map("".join))
def test_it_finds_the_longest_token_at_each_place(tokens: set[str], text: str) -> None:
    tokenizer = make_tokenizer(control_tokens=(*tokens, "<|end|>"))
    pattern = ControlTokens(tokenizer.backend_tokenizer, "").pattern
    one_by_one = sorted({*tokens, "<|end|>"}, key=len, reverse=True)
    assert re.findall(pattern, text) == re.findall("|".join(map(re.escape, one_by_one)), text)


def test_ordinary_added_tokens_are_not_control_tokens() -> None:
    tokenizer = make_tokenizer()
    tokenizer.add_tokens(["<table>", "  ", "<|tool_call|>", "<think>"])
    controls = ControlTokens(tokenizer.backend_tokenizer, "{{ '<think>  ' }}")
    ids = tokenizer.convert_tokens_to_ids
    assert {ids("<|im_end|>"), ids("<|tool_call|>"), ids("<think>")} <= controls.ids
    assert not {ids("<table>"), ids("  ")} & controls.ids
