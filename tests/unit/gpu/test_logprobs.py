"""Where tokens begin in a text that they spell together, wherever it is cut."""

from hypothesis import given
from hypothesis import strategies as st

from functions.gpu.engine import Candidate, TokenLogprobs
from functions.gpu.logprobs import Offsets, offsets_in


def cut(raw: bytes, places: set[int]) -> list[bytes]:
    """The bytes in pieces."""
    ends = sorted(place for place in places if place < len(raw))
    return [raw[start:end] for start, end in zip([0, *ends], [*ends, len(raw)], strict=True)]


@given(st.text(max_size=12), st.sets(st.integers(1, 40)))
def test_an_offset_is_the_characters_before_it(text: str, places: set[int]) -> None:
    raw = text.encode()
    offsets, before = Offsets(), b""
    for piece in cut(raw, places):
        assert offsets.next(piece) == len(before.decode("utf-8", "ignore"))
        before += piece


@given(st.text(max_size=12), st.sets(st.integers(1, 40)))
def test_a_beginning_that_is_not_in_the_text_has_no_place_in_it(text: str, places: set[int]) -> None:
    pieces = [b"<s>", *cut(text.encode(), places)]
    offsets = offsets_in(text, [TokenLogprobs(Candidate(0, piece, None), ()) for piece in pieces])
    found, plain = [offsets.next(piece) for piece in pieces], Offsets()
    assert found == [0, *(plain.next(piece) for piece in pieces[1:])]
