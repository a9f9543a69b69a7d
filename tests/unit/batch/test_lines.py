"""Lines come out of chunks as they stand in the file, wherever the chunks are cut, and no long one is held."""

from hypothesis import given
from hypothesis import strategies as st

from functions.batch.lines import Lines

LONGEST = 8

texts = st.lists(st.sampled_from([b"", b"a", b"bcd", b"12345678", b"123456789", b"x" * 40, b"\r"])).map(b"\n".join)


def cut(text: bytes, places: list[int]) -> list[bytes | None]:
    """The lines, where the text comes in chunks that end at these places."""
    lines, ends = Lines(LONGEST), sorted({min(place, len(text)) for place in places} | {len(text)})
    found, start = [], 0
    for end in ends:
        found += lines.cut(text[start:end])
        assert len(lines._begun) <= LONGEST
        start = end
    return found + lines.end()


@given(text=texts, places=st.lists(st.integers(0, 200)))
def test_lines_are_those_of_the_file_however_it_is_cut(text: bytes, places: list[int]) -> None:
    expected = [line if len(line) <= LONGEST else None for line in text.split(b"\n")]
    if expected[-1] == b"":
        expected.pop()  # what follows the last line's end is no line
    assert cut(text, places) == expected


@given(places=st.lists(st.integers(0, 12)))
def test_a_byte_order_mark_is_no_part_of_the_first_line(places: list[int]) -> None:
    assert cut(b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n", places) == [b"a", b"\xef\xbb\xbfb"]


def test_of_a_long_line_nothing_is_held() -> None:
    lines = Lines(LONGEST)
    for _ in range(100):
        assert lines.cut(b"x" * 1_000) == []
        assert not lines._begun
    assert lines.cut(b"x\ny") == [None]
    assert lines.end() == [b"y"]
