"""Calls carried by both callers, over a transport that is a function: what holds for one holds for the other."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any

import httpx2

from penstock.client import AsyncPenstock, Penstock
from penstock.client.async_http_caller import AsyncHttpCaller
from penstock.client.call import Answer, Call, Reply
from penstock.client.http import Endpoint
from penstock.client.http_caller import HttpCaller

URL = "https://api.example/v1"
KEY = "ps_key"
CHAT = Call(method="POST", path="/chat/completions", body=b'{"model":"demo"}')
MODELS = Call(method="GET", path="/models")

Handler = Callable[[httpx2.Request], httpx2.Response]


@dataclass
class Carried:
    """One way of carrying calls; `requests` are those that were sent, and `pauses` those that were made."""

    asynchronous: bool
    requests: list[httpx2.Request] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)

    def whole(self, handler: Handler, call: Call = CHAT, **options: Any) -> Answer:
        """The whole answer to the call."""
        endpoint = Endpoint(URL, KEY, **options)
        if self.asynchronous:
            return asyncio.run(AsyncHttpCaller(endpoint, self._transport(handler)).whole(call))
        return HttpCaller(endpoint, self._transport(handler)).whole(call)

    def stream(self, handler: Handler, call: Call = CHAT, **options: Any) -> tuple[list[dict[str, Any]], Reply]:
        """All chunks of the streamed answer."""
        endpoint = Endpoint(URL, KEY, **options)
        if self.asynchronous:
            return asyncio.run(self._stream(AsyncHttpCaller(endpoint, self._transport(handler)), call))
        streamed = HttpCaller(endpoint, self._transport(handler)).stream(call)
        return list(streamed.chunks), streamed.reply

    def use(self, handler: Handler, method: str, *positional: Any, **arguments: Any) -> Any:
        """What a client's method such as `files.create` returns."""
        if self.asynchronous:
            return asyncio.run(self._use(handler, method, *positional, **arguments))
        caller = HttpCaller(Endpoint(URL, KEY), self._transport(handler))
        return attrgetter(method)(Penstock(caller=caller))(*positional, **arguments)

    async def _use(self, handler: Handler, method: str, *positional: Any, **arguments: Any) -> Any:
        caller = AsyncHttpCaller(Endpoint(URL, KEY), self._transport(handler))
        return await attrgetter(method)(AsyncPenstock(caller=caller))(*positional, **arguments)

    def content(self, handler: Handler, file_id: str, path: Path | None = None) -> bytes:
        """A file's content; by way of the path, where there is one."""
        if self.asynchronous:
            return asyncio.run(self._content(handler, file_id, path))
        with self.use(handler, "files.content", file_id) as content:
            if path is None:
                read: bytes = content.read()
                return read
            content.stream_to(path)
        return path.read_bytes()

    async def _content(self, handler: Handler, file_id: str, path: Path | None) -> bytes:
        async with await self._use(handler, "files.content", file_id) as content:
            if path is None:
                read: bytes = await content.read()
                return read
            await content.stream_to(path)
        return await asyncio.to_thread(path.read_bytes)

    async def _stream(self, caller: AsyncHttpCaller, call: Call) -> tuple[list[dict[str, Any]], Reply]:
        streamed = await caller.stream(call)
        return [chunk async for chunk in streamed.chunks], streamed.reply

    def _transport(self, handler: Handler) -> httpx2.MockTransport:
        def handle(request: httpx2.Request) -> httpx2.Response:
            self.requests.append(request)
            return handler(request)

        return httpx2.MockTransport(handle)


def script(*responses: httpx2.Response | Exception) -> Handler:
    """Answers the requests one after another."""
    left = list(responses)

    def handle(_: httpx2.Request) -> httpx2.Response:
        response = left.pop(0)
        if isinstance(response, Exception):
            raise response
        return response

    return handle


def good(body: Any = None, **headers: str) -> httpx2.Response:
    """A whole answer."""
    return httpx2.Response(200, json={"id": "x"} if body is None else body, headers=headers)


def refused(status: int, code: str | None = None, **headers: str) -> httpx2.Response:
    """A refusal in the API's envelope; in a header's name an underscore is a hyphen."""
    error = {"message": "No.", "type": "server_error", "param": None, "code": code}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx2.Response(status, json={"error": error}, headers=named)


def streamed(*parts: bytes) -> httpx2.Response:
    """A stream of these bytes, in these parts."""
    return httpx2.Response(200, stream=Parts(parts), headers={"content-type": "text/event-stream; charset=utf-8"})


class Parts(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """A body in parts, one of which may be a failure; `closed` once it was let go."""

    def __init__(self, parts: tuple[bytes | Exception, ...]) -> None:
        self.parts = parts
        self.closed = False

    def __iter__(self) -> Any:
        for part in self.parts:
            if isinstance(part, Exception):
                raise part
            yield part

    async def __aiter__(self) -> Any:
        for part in self:
            yield part

    def close(self) -> None:
        self.closed = True

    async def aclose(self) -> None:
        self.closed = True
