"""Events as requests: what Mangum reads, what is mended, and any request at all by way of any event."""

from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.edge.runtime.event import NoRequest, read_event
from tests.integration.edge.invocations import SHAPES, Event, Sent

STREAMING = ("rest_api", "http_api", "function_url")  # who takes a stream from a function


def event_of(shape: str, sent: Sent | None = None, **changes: Any) -> Event:
    """An event, with parts of it changed."""
    return SHAPES[shape](sent or Sent("GET", "/health")) | changes


def headers_of(event: Event) -> list[tuple[str, str]]:
    """The headers that the app is given."""
    scope, _ = read_event(event, None)
    return [(name.decode(), value.decode()) for name, value in scope["headers"]]


@pytest.mark.parametrize("shape", STREAMING)
def test_a_request(shape: str) -> None:
    sent = Sent("POST", "/v1/chat/completions", {"Content-Type": "application/json"}, "a=1", b"{}")
    scope, body = read_event(event_of(shape, sent), "the context")
    assert (scope["type"], scope["method"], scope["path"], scope["scheme"]) == (
        *("http", "POST", "/v1/chat/completions", "https"),
    )
    assert scope["query_string"] == b"a=1"
    assert scope["root_path"] == ""
    assert body == b"{}"
    assert scope["aws.context"] == "the context"
    assert isinstance(scope["client"][0], str)
    assert [b"content-type", b"application/json"] in scope["headers"]


def test_the_stage_of_a_rest_api_is_not_in_the_path() -> None:
    event = event_of("rest_api", Sent("GET", "/v1/models"))
    assert event["requestContext"]["path"] == "/prod/v1/models"
    assert read_event(event, None)[0]["path"] == "/v1/models"


@pytest.mark.parametrize("shape", ["rest_api", "http_api"])
def test_an_http_api_may_send_payload_1_0(shape: str) -> None:
    event = event_of("rest_api", Sent("GET", "/v1/models", {"x-a": "1"}), version="1.0")
    assert read_event(event, None)[0]["path"] == "/v1/models"
    assert ("x-a", "1") in headers_of(event)


@pytest.mark.parametrize("shape", STREAMING)
@pytest.mark.parametrize("absent", ["null", "missing"])
def test_headers_that_are_null_or_missing_are_none(shape: str, absent: str) -> None:
    event = event_of(shape, cookies=[])
    for name in ("headers", "multiValueHeaders"):
        if absent == "null":
            event[name] = None
        else:
            event.pop(name, None)
    assert headers_of(event) == []


@pytest.mark.parametrize("shape", STREAMING)
def test_a_header_that_is_null_is_none(shape: str) -> None:
    event = event_of(shape, headers={"X-A": "1", "X-B": None}, multiValueHeaders={"X-C": None, "X-D": []}, cookies=[])
    assert headers_of(event) == [("x-a", "1")]


def test_several_values_of_a_header_are_one() -> None:
    event = event_of("rest_api", headers={"X-A": "2"}, multiValueHeaders={"X-A": ["1", "2"]})
    assert headers_of(event) == [("x-a", "1, 2")]


def test_several_cookie_headers_are_joined_as_cookies_are() -> None:
    event = event_of("rest_api", headers={"Cookie": "b=2"}, multiValueHeaders={"Cookie": ["a=1", "b=2"]})
    assert headers_of(event) == [("cookie", "a=1; b=2")]


def test_the_cookies_of_payload_2_0_are_one_header() -> None:
    event = event_of("function_url", headers={}, cookies=["a=1", "b=2"])
    assert headers_of(event) == [("cookie", "a=1; b=2")]


@pytest.mark.parametrize("shape", STREAMING)
@pytest.mark.parametrize(("name", "value"), [("Host", "a:b:c"), ("Host", "a:port"), ("X-Forwarded-Port", "https")])
def test_a_host_or_port_that_is_none_is_left_out(shape: str, name: str, value: str) -> None:
    event = event_of(shape, headers={name: value, "X-A": "1"}, multiValueHeaders=None, cookies=[])
    assert headers_of(event) == [("x-a", "1")]


def test_a_query_that_is_null_is_empty() -> None:
    assert read_event(event_of("function_url", rawQueryString=None), None)[0]["query_string"] == b""
    nothing = event_of("rest_api", queryStringParameters=None, multiValueQueryStringParameters=None)
    assert read_event(nothing, None)[0]["query_string"] == b""


def test_a_repeated_parameter_keeps_all_its_values() -> None:
    event = event_of(
        "rest_api", multiValueQueryStringParameters={"a": ["1", "2 & 3"]}, queryStringParameters={"a": "1"}
    )
    scope, _ = read_event(event, None)
    assert parse_qsl(scope["query_string"].decode()) == [("a", "1"), ("a", "2 & 3")]


@pytest.mark.parametrize("shape", STREAMING)
def test_an_address_that_is_unknown_is_nobodys(shape: str) -> None:
    event = event_of(shape)
    if shape == "rest_api":
        event["requestContext"]["identity"] = None
    else:
        del event["requestContext"]["http"]["sourceIp"]
    assert read_event(event, None)[0]["client"] is None


def test_the_event_itself_is_not_changed() -> None:
    event = event_of("rest_api", headers=None)
    before = repr(event)
    read_event(event, None)
    assert repr(event) == before


@pytest.mark.parametrize("shape", STREAMING)
@pytest.mark.parametrize(
    "changes",
    [
        {"requestContext": None},
        {"requestContext": []},
        {"headers": {"x": 1}, "multiValueHeaders": None},
        {"headers": [["x", "1"]]},
        {"body": {"of": "another type"}},
        {"body": "not base64!", "isBase64Encoded": True},
    ],
)
def test_an_event_with_a_part_of_another_type_is_refused(shape: str, changes: dict[str, Any]) -> None:
    with pytest.raises(NoRequest):
        read_event(event_of(shape, **changes), None)


@pytest.mark.parametrize("shape", ["alb", "alb_multi_value", "lambda_at_edge"])
def test_who_takes_no_stream_is_refused(shape: str) -> None:
    with pytest.raises(NoRequest):
        read_event(event_of(shape), None)


TOKENS = st.text("abcdefghijklmnopqrstuvwxyzABC0123456789-_", min_size=1, max_size=12)
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)
PARTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)


REQUESTS = st.fixed_dictionaries(
    {
        "method": st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]),
        "parts": st.lists(PARTS, max_size=4),
        "query": st.lists(st.tuples(PARTS, PARTS), max_size=4, unique_by=lambda pair: pair[0]),
        "headers": st.dictionaries(TOKENS.map(lambda name: f"X-{name}"), VALUES, max_size=4),
        "body": st.one_of(st.none(), st.binary(max_size=64)),
    }
)


@given(shape=st.sampled_from(STREAMING), request=REQUESTS)
def test_any_request_arrives_as_it_was_sent(shape: str, request: dict[str, Any]) -> None:
    path = "/" + "/".join(quote(part, safe="") for part in request["parts"])
    query, headers, body = urlencode(request["query"]), request["headers"], request["body"]
    sent = Sent(request["method"], path, headers, query, body, as_base64=body is not None)
    scope, read = read_event(event_of(shape, sent), None)
    assert scope["method"] == request["method"]
    assert scope["path"] == "/" + "/".join(request["parts"])
    assert sorted(parse_qsl(scope["query_string"].decode())) == sorted(request["query"])
    assert read == (body or b"")
    arrived = {name.decode(): value.decode() for name, value in scope["headers"]}
    assert {name.lower(): value for name, value in headers.items()}.items() <= arrived.items()
    assert len(arrived) == len(scope["headers"])


JSON: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=8,
)


@given(
    shape=st.sampled_from(STREAMING),
    changes=st.dictionaries(
        st.sampled_from(
            [
                "headers",
                "multiValueHeaders",
                "requestContext",
                "body",
                "isBase64Encoded",
                "path",
                "httpMethod",
                "cookies",
                "queryStringParameters",
                "multiValueQueryStringParameters",
                "rawQueryString",
                "version",
                "resource",
            ]
        ),
        JSON,
        max_size=4,
    ),
)
def test_any_event_is_a_request_or_none(shape: str, changes: dict[str, Any]) -> None:
    try:
        scope, body = read_event(event_of(shape, **changes), None)
    except NoRequest:
        return
    assert isinstance(scope["path"], str)
    assert isinstance(scope["query_string"], bytes)
    assert isinstance(body, bytes)
    assert all(isinstance(part, bytes) for header in scope["headers"] for part in header)
