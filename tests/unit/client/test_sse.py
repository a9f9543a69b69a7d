"""The decoder against the event stream format of the HTML standard."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.client.sse import EventTooLong, ServerSentEvent, SseDecoder
from penstock.schemas.completion import DONE, comment, event


def decode(*chunks: bytes) -> list[ServerSentEvent]:
    decoder = SseDecoder()
    return [found for chunk in chunks for found in decoder.feed(chunk)]


def test_our_own_wire_format() -> None:
    stream = comment("waiting") + event(b'{"a":1}') + comment("waiting") + DONE
    assert [found.data for found in decode(stream)] == ['{"a":1}', "[DONE]"]


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"data: a\ndata: b\n\n", ServerSentEvent("a\nb")),
        (b"data:a\r\n\r\n", ServerSentEvent("a")),
        (b"data:  a\r\r", ServerSentEvent(" a")),
        (b"data\n\n", ServerSentEvent("")),
        (b"event: error\nid: 7\ndata: x\n\n", ServerSentEvent("x", "error", "7")),
        (b"\xef\xbb\xbfdata: a\n\n", ServerSentEvent("a")),
        (b"retry: 10\nunknown: 1\ndata: a\n\n", ServerSentEvent("a")),
        (b"id: a\0b\ndata: a\n\n", ServerSentEvent("a")),
        (b"data: \xff\n\n", ServerSentEvent("\ufffd")),
    ],
)
def test_one_event(stream: bytes, expected: ServerSentEvent) -> None:
    assert decode(stream) == [expected]


@pytest.mark.parametrize("stream", [b"", b": comment\n\n", b"event: x\n\n", b"data: unfinished", b"data: a\n"])
def test_no_event(stream: bytes) -> None:
    assert decode(stream) == []


def test_a_name_holds_for_one_event_and_an_id_for_all_after_it() -> None:
    first, second = decode(b"event: x\nid: 1\ndata: a\n\ndata: b\n\n")
    assert (first.name, first.id) == ("x", "1")
    assert (second.name, second.id) == ("message", "1")


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"])
@given(data=st.data())
def test_where_the_stream_is_cut_does_not_matter(ending: bytes, data: st.DataObject) -> None:
    lines = ["data: grün", "", ": c", "event: x", "data: 1", "data:", "data: 2", "", "", "data: 水", "", ""]
    stream = ending.join(line.encode() for line in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    chunks = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert decode(*chunks) == [ServerSentEvent("grün"), ServerSentEvent("1\n\n2", "x"), ServerSentEvent("水")]


@given(st.lists(st.binary(max_size=40)))
def test_any_bytes_are_read(chunks: list[bytes]) -> None:
    assert decode(*chunks) == decode(b"".join(chunks))


@pytest.mark.parametrize(
    "chunk", [b"data: " + b"x" * 100, b"data: xxxxxxxxx\n" * 100, b"data:\n" * 100, b"id: 1\n" * 100]
)
def test_an_event_without_an_end_is_not_kept_for_ever(chunk: bytes) -> None:
    decoder = SseDecoder(max_event=64)
    with pytest.raises(EventTooLong):
        list(decoder.feed(chunk))
