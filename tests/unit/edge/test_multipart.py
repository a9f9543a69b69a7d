"""Forms, cut into chunks anywhere: what is read is the same, or the same refusal."""

import hashlib
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from functions.edge.multipart import Form, is_form, read_form
from penstock.errors import BadRequest, BodyTooLarge

pytestmark = pytest.mark.anyio

NEAR = st.lists(st.sampled_from([b"\r\n", b"--", b"edge", b"\r", b"\n", b"-", b"x" * 50, b"\x00\xff"])).map(b"".join)


def requested(chunks: Sequence[bytes], content_type: str = "multipart/form-data; boundary=edge") -> Request:
    """A request whose body comes in these chunks."""
    waiting = list(chunks)

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": waiting.pop(0) if waiting else b"", "more_body": bool(waiting)}

    headers = [(b"content-type", content_type.encode())]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": headers}, receive)


def form_of(content: bytes, fields: dict[str, str]) -> bytes:
    """The form as it is sent."""
    parts = [
        f'--edge\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + value.encode() + b"\r\n"
        for name, value in fields.items()
    ]
    head = '--edge\r\nContent-Type: text/plain\r\nContent-Disposition: form-data; name="file"; filename="ü"\r\n\r\n'
    return b"".join(parts) + head.encode() + content + b"\r\n--edge--\r\n"


async def collected(chunks: Sequence[bytes], limit: int = 1 << 20) -> tuple[Form, bytes]:
    """The form, and the content of its file."""
    content = bytearray()

    async def sink(piece: bytes) -> None:
        content.extend(piece)

    return await read_form(requested(chunks), sink, limit), bytes(content)


def cut(body: bytes, places: list[int]) -> list[bytes]:
    """The body in chunks that end at these places."""
    edges = [0, *sorted(place % (len(body) + 1) for place in places), len(body)]
    return [body[begin:end] for begin, end in pairwise(edges)]


@given(
    content=NEAR.filter(lambda data: b"\r\n--edge" not in b"\r\n" + data), places=st.lists(st.integers(0), max_size=8)
)
async def test_wherever_it_is_cut_the_form_is_the_same(content: bytes, places: list[int]) -> None:
    fields = {"purpose": "batch", "note": "ü" * 20}
    form, got = await collected(cut(form_of(content, fields), places))
    assert got == content
    assert (form.fields, form.filename) == (fields, "ü")
    assert (form.size, form.digest) == (len(content), hashlib.sha256(content).hexdigest())


@given(places=st.lists(st.integers(0), max_size=8), end=st.integers(0, 10_000))
async def test_half_a_form_is_refused_wherever_it_ends(places: list[int], end: int) -> None:
    body = form_of(b"content", {"purpose": "batch"})
    short = body[: end % (len(body) - 3)]  # without the last hyphen
    with pytest.raises(BadRequest):
        await collected(cut(short, places))


async def test_a_file_may_be_as_large_as_the_limit_and_no_larger() -> None:
    for size in (999, 1_000):
        form, _ = await collected([form_of(b"x" * size, {})], limit=1_000)
        assert form.size == size
    with pytest.raises(BodyTooLarge):
        await collected([form_of(b"x" * 1_001, {})], limit=1_000)


async def test_nothing_of_a_file_is_held_back_until_its_end() -> None:
    """What came with a chunk is handed on with it, but for what could be the boundary."""
    seen: list[int] = []

    async def sink(piece: bytes) -> None:
        seen.append(len(piece))

    body = form_of(b"x" * 100_000, {})
    chunks = [body[begin : begin + 10_000] for begin in range(0, len(body), 10_000)]
    await read_form(requested(chunks), sink, 1 << 20)
    assert max(seen) <= 10_000
    assert sum(seen) == 100_000


@pytest.mark.parametrize(
    ("content_type", "form"),
    [
        ("multipart/form-data; boundary=x", True),
        ("Multipart/Form-Data;boundary=x", True),
        ("multipart/mixed; boundary=x", False),
        ("application/json", False),
        ("", False),
    ],
)
def test_what_says_that_it_is_a_form(content_type: str, form: bool) -> None:
    assert is_form(requested([], content_type)) is form
