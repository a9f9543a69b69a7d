"""Stop strings, held against a reference that looks at every prefix of the text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.gpu.engine.stop import StopStrings

LETTERS = st.text("ab é", max_size=12)
STOPS = st.lists(st.text("ab é", min_size=1, max_size=5), max_size=4).map(tuple)


def reference(text: str, stops: tuple[str, ...]) -> tuple[str, bool]:
    """What may leave of a whole text, and whether a stop string ended it."""
    for end in range(1, len(text) + 1):
        starts = [end - len(stop) for stop in stops if text[:end].endswith(stop)]
        if starts:
            return text[: min(starts)], True
    return text, False


@given(st.lists(LETTERS, max_size=8), STOPS)
def test_any_cut_of_a_text_gives_what_the_reference_gives(pieces: list[str], stops: tuple[str, ...]) -> None:
    watch, sent = StopStrings(stops), ""
    for piece in pieces:
        sent += watch.push(piece)
        if watch.hit:
            break
    assert (sent + watch.finish(), watch.hit) == reference("".join(pieces), stops)


@given(LETTERS, STOPS)
def test_holds_back_exactly_the_longest_ending_that_could_begin_a_stop_string(
    text: str, stops: tuple[str, ...]
) -> None:
    watch = StopStrings(stops)
    sent = watch.push(text)
    if not watch.hit:
        beginnings = {stop[:length] for stop in stops for length in range(len(stop))}
        expected = max(n for n in range(len(text) + 1) if text[len(text) - n :] in beginnings | {""})
        assert len(text) - len(sent) == expected


@pytest.mark.parametrize(
    ("stops", "pieces", "sent"),
    [
        (("\n\n",), ["one\n", "\ntwo"], "one"),
        (("END",), ["E", "N", "ENDED"], "EN"),
        (("bcd", "abcde"), ["a", "b", "c", "d"], "a"),
        (("bc", "abc"), ["xabc"], "x"),
        (("é!",), ["caf", "é", "!"], "caf"),
    ],
)
def test_stops_across_pieces(stops: tuple[str, ...], pieces: list[str], sent: str) -> None:
    watch = StopStrings(stops)
    assert "".join(watch.push(piece) for piece in pieces) == sent
    assert watch.hit
    assert watch.finish() == ""


def test_what_was_held_back_leaves_at_the_end() -> None:
    watch = StopStrings(("STOP",))
    assert watch.push("no ST") == "no "
    assert watch.finish() == "ST"
    assert not watch.hit
