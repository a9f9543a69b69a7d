"""What goes wrong in an invocation: it ends with an answer all the same, and the next one works."""

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.integration.edge.lambda_runtime import Manner, Runtime, running
from tests.integration.edge.scripted_app import BLOCK, BLOCKS, EVENT, SECRET
from tests.servers.runtime_api import Invocation

pytestmark = pytest.mark.anyio


@pytest.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[Runtime]:
    """A function that runs the scripted app; nothing of what its errors say gets out."""
    async with running(tmp_path) as running_one:
        yield running_one
        assert SECRET not in running_one.log()


def error_of(body: bytes) -> dict[str, Any]:
    """The error of the last event, in OpenAI's envelope."""
    last = body.removesuffix(b"\n\n").rpartition(b"\n\n")[2]
    error: dict[str, Any] = orjson.loads(last.removeprefix(b"data: "))["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    return error


def trailers_of(invocation: Invocation) -> dict[str, Any]:
    """What Lambda is told at the end of a response."""
    error: dict[str, Any] = orjson.loads(base64.b64decode(invocation.trailers["lambda-runtime-function-error-body"]))
    assert error["errorType"] == invocation.trailers["lambda-runtime-function-error-type"]
    assert SECRET not in error["errorMessage"]
    return error


@pytest.mark.parametrize("path", ["/crash", "/nothing", "/confused", "/too_many_headers"])
async def test_an_app_that_fails_before_the_first_byte_is_a_500(runtime: Runtime, path: str) -> None:
    failed = await runtime.get(path).done()
    assert failed.prelude["statusCode"] == 500
    assert failed.prelude["headers"]["content-type"] == "application/json"
    assert orjson.loads(failed.body)["error"]["code"] == "internal_error"
    assert failed.trailers == {}
    assert failed.error is None
    await runtime.works()
    [line] = runtime.logged("app_ended" if path == "/nothing" else "app_crashed")
    assert line["aws_request_id"] == failed.id


async def test_an_app_that_fails_in_a_stream_ends_it_with_an_event_and_trailers(runtime: Runtime) -> None:
    failed = await runtime.get("/crash_in_events").done()
    assert failed.prelude["statusCode"] == 200
    assert failed.body.startswith(EVENT)
    assert error_of(failed.body)["code"] == "internal_error"
    assert trailers_of(failed)["errorType"] == "Runtime.RuntimeError"
    assert set(failed.headers["trailer"].lower().split(", ")) == failed.trailers.keys()
    await runtime.works()


async def test_half_an_event_is_ended_before_the_error(runtime: Runtime) -> None:
    failed = await runtime.get("/crash_in_an_event").done()
    half, _, error = failed.body.partition(b"\n\n")
    assert half == EVENT[:8]
    assert error_of(error)["code"] == "internal_error"


async def test_an_answer_that_is_no_stream_of_events_gets_trailers_alone(runtime: Runtime) -> None:
    failed = await runtime.get("/crash_in_text").done()
    assert failed.body == b"half"
    assert trailers_of(failed)["errorType"] == "Runtime.RuntimeError"
    await runtime.works()


async def test_an_answer_that_the_app_does_not_end_is_ended(runtime: Runtime) -> None:
    unfinished = await runtime.get("/unfinished").done()
    assert error_of(unfinished.body)["code"] == "internal_error"
    assert trailers_of(unfinished)["errorType"] == "Runtime.NoAnswer"
    await runtime.works()
    assert len(runtime.logged("app_ended")) == 1


async def test_a_failure_after_the_answer_is_logged_and_changes_nothing(runtime: Runtime) -> None:
    answered = await runtime.get("/crash_afterwards").done()
    assert orjson.loads(answered.body) == "fine"
    assert answered.trailers == {}
    await runtime.works()
    assert len(runtime.logged("app_crashed")) == 1


@pytest.mark.parametrize(
    "event",
    [
        b"not JSON",
        b'{"cut": "off',
        b"[]",
        b'"text"',
        b"null",
        {},
        {"Records": [{"eventSource": "aws:sqs"}]},
        {"version": "0", "detail-type": "Scheduled Event", "detail": {}},
        {"requestContext": {"elb": {}}, "httpMethod": "GET", "path": "/", "headers": {}, "body": ""},
        {"version": "2.0", "requestContext": {}},
        {"version": "2.0", "requestContext": None},
        {"resource": "/", "requestContext": {"connectionId": "of a web socket"}},
    ],
)
async def test_an_event_that_is_no_request_fails_its_invocation(runtime: Runtime, event: Any) -> None:
    refused = await runtime.api.invoke(event).done()
    assert refused.chunks == []
    assert refused.error is not None
    assert refused.error["errorType"] == "Runtime.NoRequest"
    assert "event" in refused.error["errorMessage"]
    await runtime.works()


async def test_a_connection_that_breaks_ends_the_invocation_and_not_the_process(runtime: Runtime) -> None:
    broken = runtime.get("/watch", manner=Manner(breaks=2))
    assert await runtime.wait_for("told") == "http.disconnect"
    await runtime.wait_for("cancelled")
    await broken.done()
    await runtime.works()
    [line] = runtime.logged("response_refused")
    assert line["aws_request_id"] == broken.id


async def test_a_connection_that_breaks_under_an_app_that_sends(runtime: Runtime) -> None:
    await runtime.get("/flood", manner=Manner(breaks=3)).done()
    await runtime.works()
    assert int((runtime.place / "taken").read_text()) < BLOCKS
    assert len(runtime.logged("response_refused")) == 1


@pytest.mark.parametrize("early", [1, 3])
async def test_a_response_that_is_too_large_is_cut(runtime: Runtime, early: int) -> None:
    await runtime.get("/flood", manner=Manner(status=413, early=early)).done()
    await runtime.works()
    [line] = runtime.logged("response_refused")
    assert "413" in line["reason"]
    assert int((runtime.place / "taken").read_text()) < BLOCKS


async def test_a_whole_response_that_is_refused_is_logged(runtime: Runtime) -> None:
    await runtime.get("/tiny", manner=Manner(status=413)).done()
    await runtime.works()
    [line] = runtime.logged("response_refused")
    assert "413" in line["reason"]


async def test_a_runtime_api_that_closes_its_connections_is_connected_to_again(runtime: Runtime) -> None:
    for _ in range(3):
        await runtime.get("/tiny", manner=Manner(closes=True)).done()
    await runtime.works()
    assert runtime.api.connections == 4


async def test_one_connection_is_kept(runtime: Runtime) -> None:
    for path in ("/tiny", "/crash", "/crash_in_events", "/nothing", "/echo"):
        await runtime.get(path).done()
    await runtime.works()
    assert runtime.api.connections == 1


async def test_the_app_waits_while_nothing_is_taken(runtime: Runtime) -> None:
    reading = asyncio.Event()
    flood = runtime.get("/flood", manner=Manner(reading=reading))
    await runtime.wait_for("taken")
    taken, before = int((runtime.place / "taken").read_text()), -1
    while taken != before:  # until the buffers on the way are full
        await asyncio.sleep(0.3)
        before, taken = taken, int((runtime.place / "taken").read_text())
    assert taken < BLOCKS
    reading.set()
    assert (await flood.done()).body == BLOCK * BLOCKS
    await runtime.works()


async def test_a_container_error_ends_the_process(runtime: Runtime) -> None:
    await runtime.get("/tiny", manner=Manner(status=500)).done()
    assert await runtime.ended() == 1
    [line] = runtime.logged("runtime_api_failed")
    assert "500" in line["reason"]


async def test_an_app_that_does_not_answer_in_time_is_a_504(runtime: Runtime) -> None:
    late = await runtime.get("/wait", timeout=1.5).done()
    assert late.prelude["statusCode"] == 504
    assert orjson.loads(late.body)["error"]["code"] == "deadline_exceeded"
    await runtime.works()


async def test_a_stream_that_does_not_end_in_time_is_ended_with_an_error(runtime: Runtime) -> None:
    late = await runtime.get("/wait_in_events", timeout=1.5).done()
    assert late.body.startswith(EVENT)
    assert error_of(late.body)["code"] == "deadline_exceeded"
    assert trailers_of(late)["errorType"] == "Runtime.DeadlineExceeded"
    await runtime.works()


async def test_an_app_that_ends_of_its_cancellation_has_the_last_word(runtime: Runtime) -> None:
    late = await runtime.get("/answer_when_cancelled", timeout=1.5).done()
    assert late.body == EVENT + b"data: bye\n\n"
    assert late.trailers == {}
    await runtime.works()


async def test_an_app_that_does_not_end_is_left_behind(runtime: Runtime) -> None:
    late = await runtime.get("/stubborn", timeout=1.5).done()
    assert error_of(late.body)["code"] == "deadline_exceeded"
    assert (runtime.place / "cancelled").exists()
    await runtime.works()
    runtime.go(1)
    await runtime.works()
    [line] = runtime.logged("app_goes_on")
    assert line["aws_request_id"] == late.id


async def test_a_runtime_api_that_reads_nothing_until_the_deadline(runtime: Runtime) -> None:
    reading = asyncio.Event()
    stuck = runtime.get("/flood", timeout=2, manner=Manner(reading=reading))
    async with asyncio.timeout(30):
        while not runtime.logged("response_cut"):
            await asyncio.sleep(0.05)
    reading.set()
    await stuck.done()
    assert (await runtime.get("/tiny").done()).prelude["statusCode"] == 200
