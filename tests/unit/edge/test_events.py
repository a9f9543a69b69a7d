"""Cutting a stream into whole events, however its bytes arrive."""

from collections.abc import AsyncIterator, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.edge.events import MAX_EVENT, ends_with_error, whole_events
from penstock.errors import UpstreamFailed
from penstock.schemas.completion import DONE, comment, error_event, event

EVENTS = st.lists(
    st.one_of(
        st.binary(min_size=1, max_size=40).filter(lambda data: b"\n" not in data).map(event),
        st.just(comment("waiting")),
    ),
    max_size=8,
)
LAST = st.sampled_from([DONE, error_event({"error": {"message": "m"}})])


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    """The data in pieces."""
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[one:two] for one, two in pairwise(edges)]


async def collect(pieces: Sequence[bytes]) -> tuple[list[bytes], bool]:
    """What came through, and whether the stream was whole."""

    async def arrive() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    through = []
    try:
        async for events in whole_events(arrive()):
            through.append(events)  # noqa: PERF401 (what came before an error counts)
    except UpstreamFailed:
        return through, False
    return through, True


def run(pieces: Sequence[bytes]) -> tuple[list[bytes], bool]:
    """`collect`, without an event loop: nothing in it ever waits."""
    coroutine = collect(pieces)
    with pytest.raises(StopIteration) as stopped:
        coroutine.send(None)
    result: tuple[list[bytes], bool] = stopped.value.value
    return result


@given(EVENTS, LAST, st.lists(st.integers(0, 10_000), max_size=30))
def test_a_whole_stream_comes_through_unchanged_and_uncut(events: list[bytes], last: bytes, places: list[int]) -> None:
    data = b"".join(events) + last
    through, whole = run(cut(data, places))
    assert whole
    assert b"".join(through) == data
    assert all(part.endswith(b"\n\n") for part in through)


@given(EVENTS, LAST, st.integers(0, 10_000), st.lists(st.integers(0, 10_000), max_size=30))
def test_a_stream_that_ends_early_is_found_out_and_leaves_whole_events_only(
    events: list[bytes], last: bytes, end: int, places: list[int]
) -> None:
    data = b"".join(events) + last
    broken = data[: end % len(data)]
    through, whole = run(cut(broken, places))
    assert not whole
    sent = b"".join(through)
    assert broken.startswith(sent)
    assert sent == b"" or sent.endswith(b"\n\n")
    assert b"\n\n" not in broken[len(sent) :]


def test_an_empty_stream_is_broken() -> None:
    assert run([]) == ([], False)


def test_an_event_without_end_is_not_collected_for_ever() -> None:
    pieces = [b"x" * (MAX_EVENT // 4)] * 100
    assert run(pieces) == ([], False)


@given(EVENTS, LAST)
def test_that_events_end_with_an_error_is_told(events: list[bytes], last: bytes) -> None:
    assert ends_with_error(b"".join(events) + last) == (last != DONE)
    assert not ends_with_error(b"".join((*events, last, DONE)))
    assert not ends_with_error(b"")
