"""A stand-in for Lambda's Runtime API, which speaks plain HTTP/1.1 and notes what it is told, and when.

It has the paths of docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html and the two under `/restore`. An invocation
waits for its turn, and so does whoever asks for the next: one is given at a time. A response's chunks are noted as
they arrive, each with its time; its trailers too. Like the real one it takes one answer to an invocation, and no
other; what does not fit is answered with 400, and noted in `wrong`.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import orjson

VERSION = "/2018-06-01/runtime"
ARN = "arn:aws:lambda:eu-central-1:123456789012:function:penstock-edge-stream"
PATIENCE = 30.0  # seconds, for what has to come

_REASONS = {200: "OK", 202: "Accepted", 400: "Bad Request", 404: "Not Found", 413: "Payload Too Large", 500: "Error"}


@dataclass
class Manner:
    """How a response is taken: well, if nothing else is said. Counts are of chunks, the prelude's among them."""

    status: int = 202  # what its end is answered with
    early: int | None = None  # after so many it is answered, and no more is read
    breaks: int | None = None  # after so many the connection is cut
    reading: asyncio.Event | None = None  # nothing is read until this is set
    closes: bool = False  # the connection is closed in good order after the answer


@dataclass
class Invocation:
    """One event, and what came of it."""

    event: bytes
    timeout: float  # seconds from when it is given
    manner: Manner
    trace_id: str | None
    id: str = field(default_factory=lambda: str(uuid4()))
    deadline: int = 0  # milliseconds since the epoch, once it was given
    headers: dict[str, str] = field(default_factory=dict)  # of the response
    chunks: list[tuple[float, bytes]] = field(default_factory=list)  # by the monotonic clock
    trailers: dict[str, str] = field(default_factory=dict)
    error: dict[str, Any] | None = None  # instead of a response
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def data(self) -> bytes:
        """All chunks."""
        return b"".join(data for _, data in self.chunks)

    @property
    def prelude(self) -> dict[str, Any]:
        """Status and headers."""
        head, delimiter, _ = self.data.partition(bytes(8))
        assert delimiter, self.data
        prelude: dict[str, Any] = orjson.loads(head)
        return prelude

    @property
    def body(self) -> bytes:
        """What follows the prelude."""
        return self.data.partition(bytes(8))[2]

    async def wait_for(self, text: bytes) -> None:
        """Until this is in the body."""
        async with asyncio.timeout(PATIENCE):
            while text not in self.body:
                assert not self.over.is_set(), self.body
                self.changed.clear()
                await self.changed.wait()

    async def done(self) -> "Invocation":
        """Itself, once it is over."""
        async with asyncio.timeout(PATIENCE):
            await self.over.wait()
        return self

    def note(self, data: bytes) -> None:
        """A chunk has come."""
        self.chunks.append((time.monotonic(), data))
        self.changed.set()

    def end(self) -> None:
        """Nothing more is taken."""
        self.over.set()
        self.changed.set()


class RuntimeApi:
    """The API, for one runtime. `restored` lets that go on after its snapshot."""

    def __init__(self) -> None:
        self.address = ""
        self.connections = 0
        self.asked = 0  # for the next invocation
        self.init_error: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.restore_error: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.snapshot = asyncio.Event()  # set when the runtime is ready for it
        self.restored = asyncio.Event()
        self.wrong: list[str] = []
        self._waiting: deque[Invocation] = deque()
        self._more = asyncio.Event()
        self._current: Invocation | None = None

    def invoke(
        self, event: Any, *, timeout: float = 30.0, manner: Manner | None = None, trace_id: str | None = None
    ) -> Invocation:
        """Put an event in the queue: JSON, or what is to be sent as it is."""
        data = event if isinstance(event, bytes) else orjson.dumps(event)
        invocation = Invocation(data, timeout, manner or Manner(), trace_id)
        self._waiting.append(invocation)
        self._more.set()
        return invocation

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until it ends."""
        self.connections += 1
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while await self._one(reader, writer):
                    pass
        finally:
            writer.transport.abort()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request; whether the connection goes on."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        request, *lines = head.split("\r\n")
        method, target, _ = request.split(" ")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        path = target.removeprefix(VERSION).split("/")
        match method, *path:
            case "GET", "", "invocation", "next":
                return await self._next(reader, writer)
            case "POST", "", "invocation", request_id, "response":
                return await self._response(request_id, headers, reader, writer)
            case "POST", "", "invocation", request_id, "error":
                return await self._error(request_id, await _json(reader, headers), writer)
            case "POST", "", "init", "error":
                self.init_error.set_result({**await _json(reader, headers), **_kind(headers)})
            case "POST", "", "restore", "error":
                self.restore_error.set_result({**await _json(reader, headers), **_kind(headers)})
            case "GET", "", "restore", "next":
                self.snapshot.set()
                await self.restored.wait()
                return await _answer(writer, 200)
            case _:
                self.wrong.append(request)
                return await _answer(writer, 404)
        return await _answer(writer, 202)

    async def _next(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        self.asked += 1
        if self._current is not None and not self._current.over.is_set():
            self.wrong.append(f"the next invocation was asked for before {self._current.id} was over")
        while not self._waiting:
            self._more.clear()
            waiting = asyncio.create_task(self._more.wait())
            leaving = asyncio.create_task(reader.read(1))
            await asyncio.wait({waiting, leaving}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if leaving.done():
                return False
            leaving.cancel()
            await asyncio.gather(leaving, return_exceptions=True)
        given = self._current = self._waiting.popleft()
        given.deadline = int((time.time() + given.timeout) * 1_000)
        headers = {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": given.id,
            "Lambda-Runtime-Deadline-Ms": str(given.deadline),
            "Lambda-Runtime-Invoked-Function-Arn": ARN,
        }
        if given.trace_id is not None:
            headers["Lambda-Runtime-Trace-Id"] = given.trace_id
        return await _answer(writer, 200, given.event, headers)

    async def _response(
        self, request_id: str, headers: dict[str, str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        given = self._taken(request_id)
        if given is None or headers.get("transfer-encoding") != "chunked":
            await _answer(writer, 400)
            return False
        given.headers, manner = headers, given.manner
        if manner.reading is not None:
            await manner.reading.wait()
        try:
            while size := int(await reader.readuntil(b"\r\n"), 16):
                given.note((await reader.readexactly(size + 2))[:-2])
                if len(given.chunks) == manner.breaks:
                    return False
                if len(given.chunks) == manner.early:
                    await _leave(reader, writer, manner.status)
                    return False
            while (line := (await reader.readuntil(b"\r\n")).decode("latin-1").strip()) != "":
                name, _, value = line.partition(":")
                given.trailers[name.strip().lower()] = value.strip()
            return await _answer(writer, manner.status, close=manner.closes)
        finally:
            given.end()

    async def _error(self, request_id: str, error: dict[str, Any], writer: asyncio.StreamWriter) -> bool:
        given = self._taken(request_id)
        if given is None:
            return await _answer(writer, 400)
        given.error = error
        given.end()
        return await _answer(writer, 202)

    def _taken(self, request_id: str) -> Invocation | None:
        """The current invocation, if this is its one answer."""
        given = self._current
        if given is None or given.id != request_id or given.headers or given.over.is_set():
            self.wrong.append(f"an answer to {request_id}, which waits for none")
            return None
        return given


@asynccontextmanager
async def runtime_api() -> AsyncIterator[RuntimeApi]:
    """The API on a free port, in the test's own event loop."""
    api = RuntimeApi()
    connections: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(asyncio.create_task(api.serve(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=1 << 20)
    api.address = "{}:{}".format(*server.sockets[0].getsockname())
    try:
        yield api
    finally:
        server.close()
        for connection in connections:
            connection.cancel()
        results = await asyncio.gather(*connections, return_exceptions=True)
        failures = [result for result in results if isinstance(result, Exception)]
        assert not failures, failures


async def _leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, status: int) -> None:
    """Answer, and close as a good server does: what still comes is dropped unread, or the answer might be lost."""
    await _answer(writer, status, headers={"Connection": "close"})
    writer.write_eof()
    while await reader.read(65_536):
        pass


async def _json(reader: asyncio.StreamReader, headers: dict[str, str]) -> dict[str, Any]:
    body: dict[str, Any] = orjson.loads(await reader.readexactly(int(headers["content-length"])))
    return body


def _kind(headers: dict[str, str]) -> dict[str, str]:
    return {"kind": headers.get("lambda-runtime-function-error-type", "")}


async def _answer(
    writer: asyncio.StreamWriter,
    status: int,
    body: bytes = b"",
    headers: dict[str, str] | None = None,
    *,
    close: bool = False,
) -> bool:
    """Send an answer; whether the connection goes on."""
    fields = {"Content-Length": str(len(body)), **(headers or {}), **({"Connection": "close"} if close else {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    writer.write(f"HTTP/1.1 {status} {_REASONS.get(status, 'Status')}\r\n{head}\r\n".encode("latin-1") + body)
    await writer.drain()
    if close:
        writer.close()
        await writer.wait_closed()
    return not close
