"""Stands between a client and DynamoDB or S3: counts the requests by operation, and lets them fail where it is told to.

It serves in a thread of its own, so that asynchronous tests, synchronous ones and processes they start can all
be its clients. It does not check signatures, and DynamoDB at AWS refuses what comes through it; the emulators
do not mind.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from io import BytesIO
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp import web

from tests.servers import storage
from tests.servers.faults import Fault, Faults, answer
from tests.servers.storage import OBJECTS

MAX_REQUEST = 17 * 2**20  # bytes; DynamoDB's own bound for a batch is 16 MiB
JSON = "application/x-amz-json-1.0"
XML = "application/xml"
# They belong to one connection and not to the message (RFC 9110, 7.6.1), or are written anew.
HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "host", "date", "server"})

Heard = Callable[[str, bytes], None]


@dataclass(frozen=True, slots=True)
class _Serving:
    url: str
    loop: asyncio.AbstractEventLoop
    over: asyncio.Event


class Proxy:
    """A context manager: it serves at `url` while it is entered, and passes on to `target`.

    `requests` counts every request that came, a client's own repetitions included. `heard` is called, in the
    proxy's thread, with the operation and the body of each.
    """

    def __init__(self, target: str, faults: Faults | None = None, heard: Heard | None = None) -> None:
        self.target = target
        self.faults = faults
        self.heard = heard
        self.requests: Counter[str] = Counter()
        self._serving: Future[_Serving] = Future()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)

    @property
    def url(self) -> str:
        """Where it serves: what AWS_ENDPOINT_URL is to be."""
        return self._serving.result().url

    def __enter__(self) -> Self:
        self._thread.start()
        self._serving.result()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        serving = self._serving.result()
        serving.loop.call_soon_threadsafe(serving.over.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            if self._serving.done():
                raise
            self._serving.set_exception(error)  # for who waits in __enter__

    async def _serve(self) -> None:
        app = web.Application(client_max_size=MAX_REQUEST)
        # As the server sent it: the checksum x-amz-crc32 is of the compressed body.
        async with aiohttp.ClientSession(auto_decompress=False, trust_env=False) as upstream:

            async def handle(request: web.Request) -> web.StreamResponse:
                return await self._handle(request, upstream)

            app.router.add_route("*", "/{path:.*}", handle)
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            host, port = runner.addresses[0][:2]
            serving = _Serving(f"http://{host}:{port}", asyncio.get_running_loop(), asyncio.Event())
            self._serving.set_result(serving)
            await serving.over.wait()
            await runner.cleanup()

    async def _handle(self, request: web.Request, upstream: aiohttp.ClientSession) -> web.StreamResponse:
        operation = _operation(request)
        body = await request.read()
        self.requests[operation] += 1
        if self.heard:
            self.heard(operation, body)
        fault = self.faults.choose(operation) if self.faults else None
        if fault is None:
            return await self._pass_on(request, body, upstream)
        if fault.forwarded:
            await self._pass_on(request, body, upstream)
        return _fail(request, fault, operation, body)

    async def _pass_on(self, request: web.Request, body: bytes, upstream: aiohttp.ClientSession) -> web.Response:
        data = BytesIO(body) if body else None  # in bytes, aiohttp warns of a large one
        async with upstream.request(
            request.method, self.target + request.raw_path, data=data, headers=_end_to_end(request.headers)
        ) as got:
            headers = _end_to_end(got.headers)
            if request.method == "HEAD" and got.content_length is not None:
                headers.append(("Content-Length", str(got.content_length)))  # of what GET would answer
            return web.Response(status=got.status, body=await got.read() or None, headers=headers)


def _fail(request: web.Request, fault: Fault, operation: str, body: bytes) -> web.Response:
    if fault.closes:
        assert request.transport is not None
        request.transport.close()  # the response below is written nowhere
        return web.Response()
    status, error = answer(fault, operation, body)
    return web.Response(status=status, body=error, content_type=XML if operation in OBJECTS else JSON)


def _operation(request: web.Request) -> str:
    """Its name; S3's requests do not say it."""
    authorization = request.headers.get("Authorization", "")
    of_storage = storage.operation(request.method, request.path, request.query, authorization)
    return of_storage or request.headers.get("X-Amz-Target", "").rpartition(".")[2]


def _end_to_end(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in headers.items() if name.lower() not in HOP]
