"""Mangum's answers that are not ours, and those that Lambda would lose."""

import asyncio
import base64
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from functions.edge.boundary import Boundary
from functions.edge.buffered import HEAD, MAX_RESPONSE, Buffered
from functions.edge.security_headers import ALWAYS
from tests.integration.edge.invocations import Answered, Sent, answered, rest_api


@pytest.fixture(autouse=True)
def event_loop_of_the_thread() -> Iterator[None]:
    """The one that Mangum runs on, as it does on Lambda."""
    with asyncio.Runner() as runner:
        asyncio.set_event_loop(runner.get_loop())
        yield
    asyncio.set_event_loop(None)


def invoke(app: ASGIApp) -> tuple[Answered, dict[str, Any]]:
    """The app's answer to a REST API's event."""
    context: Any = None
    raw = Buffered(Boundary(app), lifespan="off")(rest_api(Sent("GET", "/")), context)
    return answered(raw), raw


def test_an_answer_that_breaks_off_is_a_500_in_the_envelope() -> None:
    async def break_off(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise RuntimeError

    answer, _ = invoke(break_off)
    assert (answer.status, answer.json["error"]["code"]) == (500, "internal_error")
    assert {name: answer.headers[name.lower()] for name in ALWAYS} == ALWAYS
    assert answer.headers["strict-transport-security"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"a" * (MAX_RESPONSE - HEAD - 2), 200),
        (b"a" * (MAX_RESPONSE - HEAD), 413),
        (b"\n" * (MAX_RESPONSE // 2), 413),
        (b"\x00" * (MAX_RESPONSE // 6), 413),
        (b"\xff" * (MAX_RESPONSE // 4 * 3), 413),
        (b"\xff" * (MAX_RESPONSE // 2), 200),
    ],
)
def test_an_answer_is_as_long_as_its_json(body: bytes, status: int) -> None:
    whole = Response(body, headers={"Cache-Control": "public", "x-kept": "yes"}, media_type="text/plain")
    answer, raw = invoke(whole)
    assert answer.status == status
    assert len(orjson.dumps(raw)) <= MAX_RESPONSE
    assert answer.headers["x-kept"] == "yes"
    assert answer.headers["x-request-id"].startswith("req_")
    if status == 413:
        assert answer.json["error"]["code"] == "answer_too_large"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-length"] == str(len(answer.body))
    else:
        assert answer.body == body
        assert raw["isBase64Encoded"] == (base64.b64encode(body).decode() == raw["body"])
