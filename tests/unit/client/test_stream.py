"""However a stream is left, its response is closed."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest

from penstock.client import AsyncPenstock, AsyncStream, Penstock, Stream
from penstock.client.async_http_caller import AsyncHttpCaller
from penstock.client.errors import UnexpectedAnswer
from penstock.client.http import Endpoint
from penstock.client.http_caller import HttpCaller
from penstock.schemas import ChatCompletionChunk
from penstock.schemas.completion import ChoiceDelta, ChunkChoice, event
from tests.unit.client.carried import KEY, URL, Parts

CHOICE = ChunkChoice(index=0, delta=ChoiceDelta(content="Hi"), logprobs=None, finish_reason=None)
CHUNK = ChatCompletionChunk(id="x", object="chat.completion.chunk", created=1, model="m", choices=[CHOICE])
ENDPOINT = Endpoint(URL, KEY)


def transport(body: Parts) -> httpx2.MockTransport:
    headers = {"content-type": "text/event-stream", "x-request-id": "req_1"}
    return httpx2.MockTransport(lambda _: httpx2.Response(200, stream=body, headers=headers))


def endless() -> Parts:
    return Parts((event(CHUNK.wire()),) * 100)


def leave_block(stream: Stream[ChatCompletionChunk]) -> None:
    with stream:
        for _ in stream:
            break


def close_unread(stream: Stream[ChatCompletionChunk]) -> None:
    stream.close()


def close_twice(stream: Stream[ChatCompletionChunk]) -> None:
    next(stream)
    stream.close()
    stream.close()
    assert list(stream) == []


def drop(stream: Stream[ChatCompletionChunk]) -> None:
    next(stream)


def drop_unread(_: Stream[ChatCompletionChunk]) -> None:
    """Let it go without a look."""


def raise_within(stream: Stream[ChatCompletionChunk]) -> None:
    with pytest.raises(ZeroDivisionError), stream:
        raise ZeroDivisionError


@pytest.mark.parametrize("leave", [leave_block, close_unread, close_twice, drop, drop_unread, raise_within])
def test_a_blocking_stream(leave: Callable[[Stream[ChatCompletionChunk]], None]) -> None:
    body = endless()
    with Penstock(caller=HttpCaller(ENDPOINT, transport(body))) as client:
        leave(client.chat.completions.create(model="m", messages=[], stream=True))
        gc.collect()
        assert body.closed


async def aleave_block(stream: AsyncStream[ChatCompletionChunk]) -> None:
    async with stream:
        async for _ in stream:
            break


async def aclose_unread(stream: AsyncStream[ChatCompletionChunk]) -> None:
    await stream.close()


async def aclose_twice(stream: AsyncStream[ChatCompletionChunk]) -> None:
    await anext(stream)
    await stream.close()
    await stream.close()
    assert [chunk async for chunk in stream] == []


async def adrop(stream: AsyncStream[ChatCompletionChunk]) -> None:
    await anext(stream)


async def adrop_unread(_: AsyncStream[ChatCompletionChunk]) -> None:
    """Let it go without a look."""


@pytest.mark.parametrize("leave", [aleave_block, aclose_unread, aclose_twice, adrop, adrop_unread])
@pytest.mark.anyio
async def test_an_asynchronous_stream(leave: Callable[[AsyncStream[ChatCompletionChunk]], Awaitable[None]]) -> None:
    body = endless()
    async with AsyncPenstock(caller=AsyncHttpCaller(ENDPOINT, transport(body))) as client:
        await leave(await client.chat.completions.create(model="m", messages=[], stream=True))
        gc.collect()
        async with asyncio.timeout(20):
            while not body.closed:
                await asyncio.sleep(0)


@pytest.mark.anyio
async def test_a_task_that_is_cancelled_while_it_reads_closes_its_stream() -> None:
    reading = asyncio.Event()

    class Silent(Parts):
        async def __aiter__(self) -> Any:
            yield event(CHUNK.wire())
            reading.set()
            await asyncio.Event().wait()

    body = Silent(())

    async def read(client: AsyncPenstock) -> None:
        async for _ in await client.chat.completions.create(model="m", messages=[], stream=True):
            pass

    async with AsyncPenstock(caller=AsyncHttpCaller(ENDPOINT, transport(body))) as client:
        task = asyncio.create_task(read(client))
        await asyncio.wait_for(reading.wait(), 20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert body.closed


def test_a_stream_has_its_reply_and_its_chunks_their_type() -> None:
    with Penstock(caller=HttpCaller(ENDPOINT, transport(endless()))) as client:
        with client.chat.completions.create(model="m", messages=[], stream=True) as stream:
            assert (stream.request_id, stream.reply.retries) == ("req_1", 0)
            assert next(stream) == CHUNK
        with client.completions.create(model="m", prompt="", stream=True) as wrong, pytest.raises(UnexpectedAnswer):
            next(wrong)
