"""The boundary around any app: ids, one log line, and what is done with what nobody caught."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest
import structlog
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from functions.edge import boundary
from functions.edge.boundary import Boundary, BrokenOff

pytestmark = pytest.mark.anyio

App = Callable[[Scope, Receive, Send], Awaitable[None]]
SECRET = "the prompt itself"


async def fine(scope: Scope, receive: Receive, send: Send) -> None:
    """An app that answers."""
    scope["penstock"]["facts"].update(model="demo")
    await PlainTextResponse("fine", headers={"x-request-id": "not ours"})(scope, receive, send)


async def crash(scope: Scope, receive: Receive, send: Send) -> None:
    """An app that raises before it answers."""
    raise RuntimeError(SECRET)


async def crash_midway(scope: Scope, receive: Receive, send: Send) -> None:
    """An app that raises in the middle of its answer."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"half", "more_body": True})
    raise RuntimeError(SECRET)


async def client_gone(scope: Scope, receive: Receive, send: Send) -> None:
    """An app whose client leaves."""
    raise ClientDisconnect


class Exchanged:
    """What one request through the boundary did."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.lines: list[Any] = []

    @property
    def status(self) -> int:
        """The answer's status."""
        status: int = self.sent[0]["status"]
        return status

    @property
    def headers(self) -> dict[str, str]:
        """The answer's headers."""
        return {name.decode(): value.decode() for name, value in self.sent[0]["headers"]}


async def exchange(app: App, *headers: tuple[bytes, bytes], raises: type[BaseException] | None = None) -> Exchanged:
    """Send one request through the boundary."""
    result = Exchanged()

    async def send(message: Any) -> None:
        result.sent.append(message)

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    scope: Scope = {"type": "http", "method": "GET", "path": f"/{SECRET}", "headers": list(headers)}
    logger = structlog.testing.CapturingLogger()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boundary, "log", logger)
        if raises is None:
            await Boundary(app)(scope, receive, send)
        else:
            with pytest.raises(raises) as raised:
                await Boundary(app)(scope, receive, send)
            assert SECRET not in str(raised.value)
            assert raised.value.__cause__ is None
            assert raised.value.__suppress_context__ or raised.value.__context__ is None
    result.lines = [call.kwargs for call in logger.calls]
    return result


async def test_the_request_id_is_ours_and_new() -> None:
    answers = [await exchange(fine) for _ in range(50)]
    ids = {answer.headers["x-request-id"] for answer in answers}
    assert len(ids) == 50
    assert all(one.startswith("req_") for one in ids)
    assert {answer.lines[0]["request_id"] for answer in answers} == ids


@pytest.mark.parametrize("header", [b"x-request-id", b"x-client-request-id"])
@pytest.mark.parametrize("sent", [b"a", b"A-b_c.d:e", b"0" * 128])
async def test_a_well_formed_id_of_the_caller_is_echoed_and_logged(header: bytes, sent: bytes) -> None:
    answer = await exchange(fine, (header, sent))
    assert answer.headers["x-client-request-id"] == sent.decode()
    assert answer.headers["x-request-id"] != sent.decode()
    assert answer.lines[0]["client_request_id"] == sent.decode()


@pytest.mark.parametrize("sent", [b"", b"a b", b"a\nb", b'"', b"{}", b"0" * 129, "é".encode(), b"a\n"])
async def test_an_ill_formed_id_is_neither_echoed_nor_logged(sent: bytes) -> None:
    answer = await exchange(fine, (b"x-request-id", sent))
    assert "x-client-request-id" not in answer.headers
    assert answer.lines[0]["client_request_id"] is None


async def test_one_line_a_request_with_what_is_to_be_in_it() -> None:
    (line,) = (await exchange(fine)).lines
    assert line.keys() == {"request_id", "client_request_id", "route", "duration_ms", "method", "status", "model"}
    assert (line["status"], line["method"], line["model"], line["route"]) == (200, "GET", "demo", "unmatched")
    assert line["duration_ms"] >= 0


async def test_a_crash_is_a_500_that_tells_nothing() -> None:
    answer = await exchange(crash)
    assert answer.status == 500
    assert orjson.loads(answer.sent[1]["body"]) == {
        "error": {
            "message": "Something went wrong on our side.",
            "type": "server_error",
            "param": None,
            "code": "internal_error",
        }
    }
    assert answer.headers["x-request-id"].startswith("req_")
    (line,) = answer.lines
    assert (line["status"], line["crash"]) == (500, "RuntimeError")
    assert line["at"].startswith("test_boundary.py:")
    assert SECRET not in repr(line)


async def test_a_crash_within_an_answer_breaks_it_off_and_tells_nothing() -> None:
    """A server that is not told would let the client wait, or (Mangum) fail on the answer's missing end."""
    answer = await exchange(crash_midway, raises=BrokenOff)
    assert [message["type"] for message in answer.sent] == ["http.response.start", "http.response.body"]
    (line,) = answer.lines
    assert (line["status"], line["crash"]) == (200, "RuntimeError")
    assert SECRET not in repr(line)


async def test_a_client_that_left_is_logged_and_not_answered() -> None:
    answer = await exchange(client_gone)
    assert answer.sent == []
    assert [line["status"] for line in answer.lines] == [499]


async def test_a_request_that_the_end_of_the_process_cancels_is_a_503() -> None:
    async def cancelled(scope: Scope, receive: Receive, send: Send) -> None:
        raise asyncio.CancelledError

    answer = await exchange(cancelled)
    assert answer.status == 503
    assert answer.lines[0]["error"] == "edge_stopping"


async def test_an_answer_that_was_begun_is_not_begun_again_when_it_is_cancelled() -> None:
    async def cancelled(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise asyncio.CancelledError

    answer = await exchange(cancelled)
    assert len(answer.sent) == len(answer.lines) == 1


async def test_what_is_not_http_passes() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    async def nothing(*_: Any) -> Any:
        raise AssertionError

    await Boundary(app)({"type": "lifespan"}, nothing, nothing)
    assert seen == ["lifespan"]
