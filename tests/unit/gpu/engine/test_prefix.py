"""Keys of full pages: equal for equal beginnings under one salt, and for nothing else."""

from hypothesis import given
from hypothesis import strategies as st

from functions.gpu.engine.prefix import KEY_BYTES, extend_keys
from functions.gpu.engine.protocol import Sampling
from functions.gpu.engine.sequence import Sequence

TOKENS = st.lists(st.sampled_from([0, 1, 2**31, 2**32 - 1]), min_size=1, max_size=12)
SALTS = st.sampled_from([b"", b"a", b"b"])


def keys(tokens: list[int], page_tokens: int, salt: bytes = b"", *, prompt: int | None = None) -> list[bytes]:
    sequence = Sequence(tokens[:prompt], Sampling(max_tokens=1), salt=salt)
    sequence.output = tokens[len(sequence.prompt) :]
    extend_keys(sequence, len(tokens) // page_tokens, page_tokens)
    return sequence.keys


@given(TOKENS, TOKENS, SALTS, SALTS, st.integers(1, 4))
def test_keys_are_equal_where_all_tokens_up_to_there_are(
    one: list[int], other: list[int], salt: bytes, others: bytes, page_tokens: int
) -> None:
    pairs = zip(keys(one, page_tokens, salt), keys(other, page_tokens, others), strict=False)
    for page, (first, second) in enumerate(pairs, 1):
        same = salt == others and one[: page * page_tokens] == other[: page * page_tokens]
        assert (first == second) is same
        assert len(first) == len(second) == KEY_BYTES


@given(TOKENS, st.integers(0, 12), st.integers(1, 4), st.data())
def test_keys_depend_neither_on_the_steps_nor_on_where_the_answer_begins(
    tokens: list[int], prompt: int, page_tokens: int, data: st.DataObject
) -> None:
    sequence = Sequence(tokens[:prompt], Sampling(max_tokens=1), output=tokens[prompt:])
    for pages in sorted(data.draw(st.lists(st.integers(0, len(tokens) // page_tokens)))):
        extend_keys(sequence, pages, page_tokens)
    extend_keys(sequence, len(tokens) // page_tokens, page_tokens)
    assert sequence.keys == keys(tokens, page_tokens)


@given(TOKENS)
def test_no_key_comes_twice_in_a_sequence(tokens: list[int]) -> None:
    found = keys(tokens * 4, 1)
    assert len(set(found)) == len(found)
