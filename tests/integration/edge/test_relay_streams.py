"""The relay of streams: what the client sees, event by event."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import orjson
import pytest

from penstock.errors import BadRequest, Unavailable
from penstock.ledger import Limits
from penstock.schemas.completion import DONE, comment, error_event, event
from tests.integration.edge.conftest import Deploy
from tests.integration.edge.deployment import CHAT, Deployment
from tests.integration.edge.stand_in import ANSWER, STARTED, WORDS, Call, answer, chunk_of, stream_of

pytestmark = pytest.mark.anyio

LIMITS = Limits(concurrent_requests=10)
EAGER = {"heartbeat_after_s": 0.02, "heartbeat_every_s": 0.02}
WAITING = comment("waiting for the model")


@asynccontextmanager
async def streaming(deployment: Deployment, **changes: Any) -> AsyncIterator[httpx2.Response]:
    """A streamed chat completion, with its body unread."""
    body = {**CHAT, "stream": True, **changes}
    async with deployment.client.stream(
        "POST", "/v1/chat/completions", json=body, headers=deployment.owner.bearer
    ) as response:
        yield response


async def stream(deployment: Deployment) -> tuple[httpx2.Response, list[bytes]]:
    """The whole stream, cut into its events, the comments among them."""
    body = b""
    async with streaming(deployment) as response:
        async for part in response.aiter_raw():
            body += part
            for call in deployment.gpu.calls:
                call.heard.set()
    assert body.endswith(b"\n\n")
    return response, [part + b"\n\n" for part in body.split(b"\n\n")[:-1]]


def failed(events: list[bytes]) -> dict[str, Any]:
    """The error that the stream ends with; no `[DONE]` is before or after it."""
    assert DONE not in events
    envelope = orjson.loads(events[-1].removeprefix(b"data: "))
    assert envelope.keys() == {"error"}
    error: dict[str, Any] = envelope["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    return error


async def reserved(deployment: Deployment) -> set[int]:
    """What is set aside of any limit."""
    return {standing.reserved for standing in (await deployment.standings()).values()}


async def test_a_stream_comes_through_as_it_was_sent(deployment: Deployment) -> None:
    response, events = await stream(deployment)
    assert response.status_code == 200
    assert response.headers["content-type"].partition(";")[0] == "text/event-stream"
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["penstock-delivery"] == "relay"
    assert "content-length" not in response.headers
    assert events == stream_of(deployment.gpu.calls[0])
    record = await deployment.ledger.record(response.headers["x-request-id"])
    assert record is not None
    assert record.usage.completion_tokens == len(WORDS)


async def test_each_event_leaves_before_the_next_is_made(deployment: Deployment) -> None:
    """The GPU makes an event only when the one before has reached the client."""
    read: asyncio.Queue[None] = asyncio.Queue()

    async def word_by_word(call: Call) -> None:
        await call.claim()
        await call.begin(200, STARTED)
        for chunk in stream_of(call):
            await call.part(chunk)
            await asyncio.wait_for(read.get(), 20)
        await call.end()

    deployment.gpu.behave = word_by_word
    parts = []
    async with streaming(deployment) as response:
        async for part in response.aiter_raw():
            parts.append(part)
            read.put_nowait(None)
    assert parts == stream_of(deployment.gpu.calls[0])


async def test_events_that_arrive_in_pieces_leave_whole(deployment: Deployment) -> None:
    async def byte_by_byte(call: Call) -> None:
        await call.begin(200, STARTED)
        for byte in b"".join(stream_of(call)):
            await call.part(bytes([byte]))
            await asyncio.sleep(0)
        await call.end()

    deployment.gpu.behave = byte_by_byte
    async with streaming(deployment) as response:
        parts = [part async for part in response.aiter_raw()]
    assert all(part.endswith(b"\n\n") for part in parts)
    assert b"".join(parts) == b"".join(stream_of(deployment.gpu.calls[0]))


async def test_an_error_before_the_first_byte_is_an_http_error(deployment: Deployment) -> None:
    refusal = BadRequest("messages: too long.", param="messages", code="context_length_exceeded")
    deployment.gpu.behave = lambda call: call.refuse(refusal)
    async with streaming(deployment) as response:
        body = await response.aread()
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/json"
    assert orjson.loads(body) == refusal.envelope()


async def test_nothing_is_sent_before_the_status_is_known(deployment: Deployment) -> None:
    """With the usual settings, a GPU that takes a moment can still refuse by status."""

    async def think(call: Call) -> None:
        await asyncio.sleep(0.2)
        await call.refuse(Unavailable("full"))

    deployment.gpu.behave = think
    async with streaming(deployment) as response:
        assert response.status_code == 503


async def test_comments_keep_a_stream_alive_until_the_gpu_speaks(deploy: Deploy) -> None:
    deployment = await deploy(**EAGER)

    async def after_comments(call: Call) -> None:
        await call.wait_until_heard()
        await answer(call)

    deployment.gpu.behave = after_comments
    body = b""
    async with streaming(deployment) as response:
        async for part in response.aiter_raw():
            body += part
            if body.count(WAITING) >= 3:
                deployment.gpu.calls[0].heard.set()
    assert body.replace(WAITING, b"") == b"".join(stream_of(deployment.gpu.calls[0]))


async def test_a_refusal_after_the_first_comment_is_an_error_event(deploy: Deploy) -> None:
    deployment = await deploy(account_limits=LIMITS, **EAGER)
    refusal = Unavailable("The GPU process is full.", code="queue_full")

    async def refuse_late(call: Call) -> None:
        await call.wait_until_heard()
        await call.refuse(refusal)

    deployment.gpu.behave = refuse_late
    response, events = await stream(deployment)
    assert response.status_code == 200
    assert [one for one in events if one != WAITING] == [error_event(refusal.envelope())]
    assert await reserved(deployment) == {0}


async def test_a_cold_gpu_is_waited_for_with_comments(deploy: Deploy) -> None:
    deployment = await deploy(**EAGER)
    deployment.gpu.proxy = [503]
    _, events = await stream(deployment)
    assert events[0] == WAITING
    assert [one for one in events if one != WAITING] == stream_of(deployment.gpu.calls[0])


async def _break_between_events(call: Call) -> None:
    await call.claim()
    await call.begin(200, STARTED)
    await call.part(event(chunk_of(call, WORDS[0])))
    await call.wait_until_heard()


async def _break_within_an_event(call: Call) -> None:
    await _break_between_events(call)
    await call.part(event(chunk_of(call, WORDS[1]))[:-9])


async def _break_within_an_end(call: Call) -> None:
    await _break_between_events(call)
    await call.part(event(chunk_of(call, WORDS[1]))[:-1])


async def _end_without_done(call: Call) -> None:
    await _break_between_events(call)
    await call.end()


async def _end_within_an_event(call: Call) -> None:
    await _break_within_an_event(call)
    await call.end()


async def _event_without_end(call: Call) -> None:
    await _break_between_events(call)
    while not call.gone.is_set():
        await call.part(b"x" * (256 << 10))
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    "behave",
    [
        _break_between_events,
        _break_within_an_event,
        _break_within_an_end,
        _end_without_done,
        _end_within_an_event,
        _event_without_end,
    ],
)
async def test_a_stream_that_breaks_off_ends_with_an_error_and_no_half_event(deploy: Deploy, behave: Any) -> None:
    deployment = await deploy(account_limits=LIMITS)
    deployment.gpu.behave = behave
    response, events = await stream(deployment)
    assert response.status_code == 200
    assert events[0] == event(chunk_of(deployment.gpu.calls[0], WORDS[0]))
    assert len(events) == 2
    assert failed(events)["code"] == "upstream_error"
    # The GPU holds the lease; it is not the edge's to give back.
    assert await reserved(deployment) == {1}


async def test_a_stream_that_breaks_off_before_it_was_claimed_costs_nothing(deploy: Deploy) -> None:
    deployment = await deploy(account_limits=LIMITS)

    async def begin_and_break(call: Call) -> None:
        await call.begin(200, STARTED)

    deployment.gpu.behave = begin_and_break
    _, events = await stream(deployment)
    failed(events)
    assert await reserved(deployment) == {0}


async def test_the_gpus_own_error_event_comes_through_alone(deployment: Deployment) -> None:
    envelope = Unavailable("The engine stopped.", code="engine_stopped").envelope()

    async def fail_midway(call: Call) -> None:
        await _break_between_events(call)
        await call.part(error_event(envelope))
        await call.end()

    deployment.gpu.behave = fail_midway
    _, events = await stream(deployment)
    assert len(events) == 2
    assert failed(events) == envelope["error"]


async def test_an_answer_that_is_no_stream_is_a_502(deploy: Deploy) -> None:
    deployment = await deploy(account_limits=LIMITS)

    async def page(call: Call) -> None:
        await call.respond(200, {"content-type": "text/html"}, b"<p>hello</p>\n\n")

    deployment.gpu.behave = page
    async with streaming(deployment) as response:
        await response.aread()
    assert response.status_code == 502
    assert await reserved(deployment) == {0}


async def test_many_streams_at_once_keep_apart(deployment: Deployment) -> None:
    """Each gets its own chunks: every chunk holds its request's id."""
    answers = await asyncio.gather(*(stream(deployment) for _ in range(20)))
    for response, events in answers:
        request_id = response.headers["x-request-id"].encode()
        assert all(request_id in one for one in events[:-1])
        assert len(events) == len(WORDS) + 2
    assert len({response.headers["x-request-id"] for response, _ in answers}) == 20


async def test_the_words_make_the_answer() -> None:
    assert "".join(WORDS) == ANSWER
