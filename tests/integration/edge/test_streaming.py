"""The streaming runtime under a Runtime API: requests arrive as they were sent, parts of an answer as they are made."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from penstock.clock import now_ms
from tests.integration.edge.invocations import SHAPES, Sent
from tests.integration.edge.lambda_runtime import Runtime, running
from tests.servers.runtime_api import ARN

pytestmark = pytest.mark.anyio

STREAMING = ("rest_api", "http_api", "function_url")


@pytest.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[Runtime]:
    """A function that runs the scripted app."""
    async with running(tmp_path) as running_one:
        yield running_one
        assert running_one.api.wrong == []


async def test_the_response_is_announced_as_a_stream(runtime: Runtime) -> None:
    tiny = await runtime.get("/tiny").done()
    assert tiny.headers["lambda-runtime-function-response-mode"] == "streaming"
    assert tiny.headers["transfer-encoding"] == "chunked"
    assert tiny.headers["content-type"] == "application/vnd.awslambda.http-integration-response"
    assert "content-length" not in tiny.headers
    assert tiny.prelude == {"statusCode": 200, "headers": {"content-type": "application/json"}}


@pytest.mark.parametrize("shape", STREAMING)
async def test_every_part_has_arrived_before_the_next_is_made(runtime: Runtime, shape: str) -> None:
    stream = runtime.get("/steps", shape=shape)
    async with asyncio.timeout(30):
        while not stream.chunks:
            await asyncio.sleep(0.005)
    assert stream.prelude["headers"]["content-type"] == "text/event-stream"
    for step in (1, 2, 3):
        assert b"data: %d" % step not in stream.body  # it has not been let go
        runtime.go(step)
        await stream.wait_for(b"data: %d\n\n" % step)
    assert (await stream.done()).trailers == {}
    assert [data for _, data in stream.chunks[1:]] == [b"data: 1\n\n", b"data: 2\n\n", b"data: 3\n\n"]
    moments = [moment for moment, _ in stream.chunks]
    assert moments == sorted(moments)


@pytest.mark.parametrize("shape", STREAMING)
@pytest.mark.parametrize("as_base64", [False, True])
async def test_a_request_arrives_as_it_was_sent(runtime: Runtime, shape: str, as_base64: bool) -> None:
    body = "Zürich 😀".encode()
    sent = Sent("POST", "/v1/models/acme%2Flarge", {"X-Thing": "1"}, "a=1&b=x%20y", body, as_base64)
    echoed = orjson.loads((await runtime.api.invoke(SHAPES[shape](sent)).done()).body)
    assert (echoed["method"], echoed["path"]) == ("POST", "/v1/models/acme/large")
    assert echoed["query"] in ("a=1&b=x%20y", "a=1&b=x+y")
    assert ["x-thing", "1"] in echoed["headers"]
    assert echoed["body"] == body.decode("latin-1")


async def test_what_the_app_knows_of_its_invocation(runtime: Runtime) -> None:
    trace = "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1"
    traced = runtime.get("/echo", trace_id=trace, timeout=60)
    echoed = orjson.loads((await traced.done()).body)
    assert echoed["context"] == {
        "aws_request_id": traced.id,
        "invoked_function_arn": ARN,
        "function_name": "penstock-edge-stream",
        "memory_limit_in_mb": 1024,
    }
    assert 0 < echoed["left_ms"] <= 60_000
    assert traced.deadline > now_ms()
    assert echoed["trace"] == trace
    # The trace of an invocation is none of the next one's.
    assert orjson.loads((await runtime.get("/echo").done()).body)["trace"] is None


@pytest.mark.parametrize(
    ("shape", "vary"),
    [
        ("rest_api", {"multiValueHeaders": {"vary": ["Origin", "Accept"]}}),
        ("function_url", {"headers": {"vary": "Origin, Accept"}}),
    ],
)
async def test_headers_cookies_and_the_status(runtime: Runtime, shape: str, vary: dict[str, Any]) -> None:
    answered = await runtime.get("/headers", shape=shape).done()
    single = {"content-type": "text/plain", "x-name": "Z\u00fc".encode().decode("latin-1"), **vary.get("headers", {})}
    expected = {"statusCode": 201, **vary, "headers": single, "cookies": ["a=1; Path=/", "b=2"]}
    assert answered.prelude == expected
    assert answered.body == b"four"


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
async def test_an_answer_that_has_no_body(runtime: Runtime, method: str, status: int) -> None:
    answered = await runtime.get(f"/without_body/{status}", method=method).done()
    assert answered.prelude["statusCode"] == status
    assert answered.body == b""
    assert answered.trailers == {}
    await runtime.works()


async def test_invocations_come_one_after_the_other(runtime: Runtime) -> None:
    begun = time.monotonic()
    waiting = [runtime.get("/tiny") for _ in range(20)]
    bodies = {(await one.done()).body for one in waiting}
    assert len(bodies) == 1  # one process
    moments = [one.chunks[0][0] for one in waiting]
    assert moments == sorted(moments)
    assert moments[0] > begun
