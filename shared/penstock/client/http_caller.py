"""Calls over HTTP, blocking: see `penstock.client.http` for what is said, and `retries` for how often."""

import time
from collections.abc import Callable, Generator
from contextlib import closing
from functools import partial
from typing import Any, TypeVar

import httpx2

from penstock.client.call import Answer, Call, Downloaded, Reply, Streamed, Upload
from penstock.client.errors import PenstockError
from penstock.client.http import ANYTHING, EVENTS, JSON, LIMITS, Body, Chunks, Endpoint, failures, onward, reply_of
from penstock.client.retries import Tries
from penstock.client.storage import put_request, storage_refusal

T = TypeVar("T")


class HttpCaller:
    """A Caller with connections of its own, which threads may share."""

    def __init__(self, endpoint: Endpoint, transport: httpx2.BaseTransport | None = None) -> None:
        self._endpoint = endpoint
        self._http = httpx2.Client(trust_env=endpoint.proxied, limits=LIMITS, transport=transport)

    def whole(self, call: Call) -> Answer:
        """The answer, once it is whole."""
        call = self._endpoint.completed(call, stream=False)
        return self._repeat(self._endpoint.tries(call), partial(self._whole, call))

    def stream(self, call: Call) -> Streamed:
        """The answer, once it has begun. After that nothing is repeated."""
        call = self._endpoint.completed(call, stream=True)
        return self._repeat(self._endpoint.tries(call), partial(self._stream, call))

    def download(self, call: Call) -> Downloaded:
        """The content, once it has begun to come. After that nothing is repeated."""
        call = self._endpoint.completed(call, stream=True)
        return self._repeat(self._endpoint.tries(call), partial(self._download, call))

    def upload(self, upload: Upload) -> None:
        """Put content into storage, again from its beginning where that failed."""
        request = put_request(upload)
        self._repeat(self._endpoint.upload_tries(upload), lambda _: self._upload(request))

    def close(self) -> None:
        """Let go of all connections."""
        self._http.close()

    def _repeat(self, tries: Tries, once: Callable[[int], T]) -> T:
        while True:
            try:
                return once(tries.retries)
            except PenstockError as error:
                pause = tries.pause(error)
                if pause is None:
                    raise
            time.sleep(pause)

    def _whole(self, call: Call, retries: int) -> Answer:
        response, reply = self._open(call, retries, JSON)
        with failures(response.request), closing(response):
            return Answer(_read(response).json(), reply)

    def _stream(self, call: Call, retries: int) -> Streamed:
        response, reply = self._open(call, retries, EVENTS)
        chunks = _chunks(response, reply)
        next(chunks)
        return Streamed(chunks, reply)

    def _download(self, call: Call, retries: int) -> Downloaded:
        response, reply = self._open(call, retries, ANYTHING)
        chunks = _parts(response)
        next(chunks)
        return Downloaded(chunks, reply)

    def _upload(self, request: httpx2.Request) -> None:
        with failures(request):
            response = self._http.send(request, stream=True)
            with closing(response):
                body = _read(response)
        if not response.is_success:
            raise storage_refusal(response, body)

    def _open(self, call: Call, retries: int, accept: str) -> tuple[httpx2.Response, Reply]:
        """A response with status 200, which is the receiver's to close."""
        request = self._endpoint.request(call, accept)
        told: list[httpx2.Headers] = []
        while True:
            with failures(request):
                response = self._http.send(request, stream=True)
                told.append(response.headers)
                if response.status_code == 200:
                    return response, reply_of(*told, retries=retries)
                with closing(response):
                    body = _read(response)
            if accept == ANYTHING and "authorization" not in request.headers:
                raise storage_refusal(response, body)
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


def _parts(response: httpx2.Response) -> Generator[bytes]:
    with failures(response.request), closing(response):
        yield b""  # to its maker, as above
        yield from response.iter_bytes()
