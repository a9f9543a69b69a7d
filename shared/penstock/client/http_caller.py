"""Calls over HTTP, blocking: see `penstock.client.http` for what is said, and `retries` for how often."""

import time
from collections.abc import Callable, Generator
from contextlib import closing
from functools import partial
from typing import Any, TypeVar

import httpx2

from penstock.client.call import Answer, Call, Reply, Streamed
from penstock.client.errors import PenstockError
from penstock.client.http import LIMITS, Body, Chunks, Endpoint, failures, onward, reply_of

T = TypeVar("T")


class HttpCaller:
    """A Caller with connections of its own, which threads may share."""

    def __init__(self, endpoint: Endpoint, transport: httpx2.BaseTransport | None = None) -> None:
        self._endpoint = endpoint
        self._http = httpx2.Client(trust_env=endpoint.proxied, limits=LIMITS, transport=transport)

    def whole(self, call: Call) -> Answer:
        """The answer, once it is whole."""
        call = self._endpoint.completed(call, stream=False)
        return self._repeat(call, partial(self._whole, call))

    def stream(self, call: Call) -> Streamed:
        """The answer, once it has begun. After that nothing is repeated."""
        call = self._endpoint.completed(call, stream=True)
        return self._repeat(call, partial(self._stream, call))

    def close(self) -> None:
        """Let go of all connections."""
        self._http.close()

    def _repeat(self, call: Call, once: Callable[[int], T]) -> T:
        tries = self._endpoint.tries(call)
        while True:
            try:
                return once(tries.retries)
            except PenstockError as error:
                pause = tries.pause(error)
                if pause is None:
                    raise
            time.sleep(pause)

    def _whole(self, call: Call, retries: int) -> Answer:
        response, reply = self._open(call, retries, stream=False)
        with failures(response.request), closing(response):
            return Answer(_read(response).json(), reply)

    def _stream(self, call: Call, retries: int) -> Streamed:
        response, reply = self._open(call, retries, stream=True)
        chunks = _chunks(response, reply)
        next(chunks)
        return Streamed(chunks, reply)

    def _open(self, call: Call, retries: int, *, stream: bool) -> tuple[httpx2.Response, Reply]:
        """A response with status 200, which is the receiver's to close."""
        request = self._endpoint.request(call, stream=stream)
        told: list[httpx2.Headers] = []
        while True:
            with failures(request):
                response = self._http.send(request, stream=True)
                told.append(response.headers)
                if response.status_code == 200:
                    return response, reply_of(*told, retries=retries)
                with closing(response):
                    body = _read(response)
            request = onward(call, response, body)


def _read(response: httpx2.Response) -> Body:
    body = Body()
    for part in response.iter_bytes():
        body.add(part)
    return body


def _chunks(response: httpx2.Response, reply: Reply) -> Generator[dict[str, Any]]:
    with failures(response.request), closing(response):
        events = Chunks(reply)
        yield {}  # to its maker: from here on the response is closed, however this ends
        try:
            for part in response.iter_bytes():
                # What comes after the end is not read; that nothing comes keeps the connection for the next call.
                if events.ended:
                    return
                yield from events.feed(part)
        except httpx2.TransportError:
            if not events.ended:
                raise
        events.end()
