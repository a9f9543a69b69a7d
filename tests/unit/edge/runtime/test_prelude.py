"""The prelude of a streamed response, in the form that API Gateway and Function URLs take."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.edge.runtime.prelude import MAX_PRELUDE, PreludeTooLong, prelude

Headers = list[tuple[bytes, bytes]]

HEADERS: Headers = [
    (b"Content-Type", b"text/plain"),
    (b"vary", b"Origin"),
    (b"Vary", b"Accept"),
    (b"set-cookie", b"a=1, with a comma; Path=/"),
    (b"Set-Cookie", b"b=2"),
    (b"content-length", b"4"),
]


def test_the_form_that_api_gateway_takes() -> None:
    """Pinned: docs.aws.amazon.com/apigateway/latest/developerguide/response-transfer-mode-lambda.html."""
    assert prelude(201, HEADERS, multi_value=True) == (
        b'{"statusCode":201,"headers":{"content-type":"text/plain"},"multiValueHeaders":{"vary":["Origin","Accept"]},'
        b'"cookies":["a=1, with a comma; Path=/","b=2"]}' + bytes(8)
    )


def test_the_form_that_a_function_url_takes() -> None:
    assert prelude(201, HEADERS, multi_value=False) == (
        b'{"statusCode":201,"headers":{"content-type":"text/plain","vary":"Origin, Accept"},'
        b'"cookies":["a=1, with a comma; Path=/","b=2"]}' + bytes(8)
    )


@pytest.mark.parametrize(
    "name",
    [
        *("connection", "content-length", "keep-alive", "proxy-authenticate", "proxy-connection"),
        *("te", "trailer", "transfer-encoding", "upgrade"),
    ],
)
def test_what_is_of_one_connection_is_left_out(name: str) -> None:
    assert orjson.loads(prelude(200, [(name.title().encode(), b"1")], multi_value=True)[:-8])["headers"] == {}


def test_what_the_connection_header_names_is_left_out() -> None:
    headers = [(b"connection", b"close, X-Mine"), (b"x-mine", b"1"), (b"x-other", b"2")]
    assert orjson.loads(prelude(200, headers, multi_value=True)[:-8])["headers"] == {"x-other": "2"}


def test_headers_that_do_not_fit_are_refused() -> None:
    fits = MAX_PRELUDE - len(prelude(200, [(b"x", b"")], multi_value=True))
    assert len(prelude(200, [(b"x", b"y" * fits)], multi_value=True)) == MAX_PRELUDE
    with pytest.raises(PreludeTooLong):
        prelude(200, [(b"x", b"y" * (fits + 1))], multi_value=True)


NAMES = st.sampled_from([b"x-a", b"X-A", b"x-b", b"vary", b"set-cookie", b"Set-Cookie", b"content-type"])
VALUES = st.binary(max_size=20)


@given(status=st.integers(100, 599), headers=st.lists(st.tuples(NAMES, VALUES), max_size=8), multi_value=st.booleans())
def test_any_headers_arrive_with_all_their_values(status: int, headers: Headers, multi_value: bool) -> None:
    data = prelude(status, headers, multi_value=multi_value)
    head, delimiter, rest = data.partition(bytes(8))
    assert (delimiter, rest) == (bytes(8), b"")
    metadata = orjson.loads(head)
    assert metadata["statusCode"] == status
    arrived = {name: [value] for name, value in metadata["headers"].items()}
    arrived |= metadata.get("multiValueHeaders", {})
    assert len(arrived) == len(metadata["headers"]) + len(metadata.get("multiValueHeaders", {}))
    arrived["set-cookie"] = metadata.get("cookies", [])
    for name in {name.lower() for name, _ in headers}:
        values = [value.decode("latin-1") for key, value in headers if key.lower() == name]
        joined = values if multi_value or name == b"set-cookie" else [", ".join(values)]
        assert arrived[name.decode()] == joined
