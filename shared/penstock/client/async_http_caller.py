"""Calls over HTTP, on asyncio: see `penstock.client.http` for what is said, and `retries` for how often."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import Any, TypeVar

import httpx2

from penstock.client.call import Answer, AsyncDownloaded, AsyncStreamed, Call, Reply, Upload
from penstock.client.errors import PenstockError
from penstock.client.http import ANYTHING, EVENTS, JSON, LIMITS, Body, Chunks, Endpoint, failures, onward, reply_of
from penstock.client.retries import Tries
from penstock.client.storage import put_request, storage_refusal

T = TypeVar("T")


class AsyncHttpCaller:
    """An AsyncCaller with connections of its own, for one event loop."""

    def __init__(self, endpoint: Endpoint, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        self._endpoint = endpoint
        self._http = httpx2.AsyncClient(trust_env=endpoint.proxied, limits=LIMITS, transport=transport)

    async def whole(self, call: Call) -> Answer:
        """The answer, once it is whole."""
        call = self._endpoint.completed(call, stream=False)
        return await self._repeat(self._endpoint.tries(call), partial(self._whole, call))

    async def stream(self, call: Call) -> AsyncStreamed:
        """The answer, once it has begun. After that nothing is repeated."""
        call = self._endpoint.completed(call, stream=True)
        return await self._repeat(self._endpoint.tries(call), partial(self._stream, call))

    async def download(self, call: Call) -> AsyncDownloaded:
        """The content, once it has begun to come. After that nothing is repeated."""
        call = self._endpoint.completed(call, stream=True)
        return await self._repeat(self._endpoint.tries(call), partial(self._download, call))

    async def upload(self, upload: Upload) -> None:
        """Put content into storage, again from its beginning where that failed."""
        request = put_request(upload)
        await self._repeat(self._endpoint.upload_tries(upload), lambda _: self._upload(request))

    async def close(self) -> None:
        """Let go of all connections."""
        await self._http.aclose()

    async def _repeat(self, tries: Tries, once: Callable[[int], Awaitable[T]]) -> T:
        while True:
            try:
                return await once(tries.retries)
            except PenstockError as error:
                pause = tries.pause(error)
                if pause is None:
                    raise
            await asyncio.sleep(pause)

    async def _whole(self, call: Call, retries: int) -> Answer:
        response, reply = await self._open(call, retries, JSON)
        with failures(response.request):
            async with aclosing(response):
                return Answer((await _read(response)).json(), reply)

    async def _stream(self, call: Call, retries: int) -> AsyncStreamed:
        response, reply = await self._open(call, retries, EVENTS)
        chunks = _chunks(response, reply)
        await anext(chunks)
        return AsyncStreamed(chunks, reply)

    async def _download(self, call: Call, retries: int) -> AsyncDownloaded:
        response, reply = await self._open(call, retries, ANYTHING)
        chunks = _parts(response)
        await anext(chunks)
        return AsyncDownloaded(chunks, reply)

    async def _upload(self, request: httpx2.Request) -> None:
        with failures(request):
            response = await self._http.send(request, stream=True)
            async with aclosing(response):
                body = await _read(response)
        if not response.is_success:
            raise storage_refusal(response, body)

    async def _open(self, call: Call, retries: int, accept: str) -> tuple[httpx2.Response, Reply]:
        """A response with status 200, which is the receiver's to close."""
        request = self._endpoint.request(call, accept)
        told: list[httpx2.Headers] = []
        while True:
            with failures(request):
                response = await self._http.send(request, stream=True)
                told.append(response.headers)
                if response.status_code == 200:
                    return response, reply_of(*told, retries=retries)
                async with aclosing(response):
                    body = await _read(response)
            if accept == ANYTHING and "authorization" not in request.headers:
                raise storage_refusal(response, body)
            request = onward(call, response, body)


async def _read(response: httpx2.Response) -> Body:
    body = Body()
    async for part in response.aiter_bytes():
        body.add(part)
    return body


async def _chunks(response: httpx2.Response, reply: Reply) -> AsyncGenerator[dict[str, Any]]:
    with failures(response.request):
        async with aclosing(response):
            events = Chunks(reply)
            yield {}  # to its maker: from here on the response is closed, however this ends
            try:
                async for part in response.aiter_bytes():
                    # What comes after the end is not read; that nothing comes keeps the connection.
                    if events.ended:
                        return
                    for chunk in events.feed(part):
                        yield chunk
            except httpx2.TransportError:
                if not events.ended:
                    raise
            events.end()


async def _parts(response: httpx2.Response) -> AsyncGenerator[bytes]:
    with failures(response.request):
        async with aclosing(response):
            yield b""  # to its maker, as above
            async for part in response.aiter_bytes():
                yield part
