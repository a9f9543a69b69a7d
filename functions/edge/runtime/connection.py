"""One kept HTTP/1.1 connection to Lambda's Runtime API: a request at a time, whole or sent part by part.

Nothing here retries, and nothing has a time limit: the Runtime API lets its answer to `next` wait for hours, and a
process that it has left alone is ended by Lambda. What is read is bounded in size.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

import h11

MAX_HEAD = 64 << 10  # bytes of a status line and its headers; those of an invocation may hold some kilobytes
MAX_ANSWER = 16 << 20  # bytes; an event has 6 MB at most
READ = 64 << 10  # bytes at a time

Headers = Iterable[tuple[str, str]]


class ConnectionBroken(Exception):
    """The other end is not there, has left, or does not speak HTTP. The connection is closed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer, its headers by their lower-case names."""

    status: int
    headers: dict[str, str]
    body: bytes


class RuntimeConnection:
    """The connection, opened when it is needed and again when it was lost."""

    def __init__(self, address: str) -> None:
        """`address` is `host:port`, as AWS_LAMBDA_RUNTIME_API has it."""
        self._host, _, self._port = address.rpartition(":")
        self._writer: asyncio.StreamWriter | None = None
        self._reader: asyncio.StreamReader | None = None
        self._http = h11.Connection(h11.CLIENT)
        self._listening: asyncio.Task[Answer] | None = None

    async def ask(self, method: str, target: str, headers: Headers = (), body: bytes = b"") -> Answer:
        """Send a whole request and read the answer. Raises ConnectionBroken."""
        length = [("Content-Length", str(len(body)))] if method == "POST" else []
        try:
            await self._open()
            await self._send(self._request(method, target, [*headers, *length]), h11.Data(body), h11.EndOfMessage())
            answer = await self._answer()
        except BaseException:  # of a cancellation too: half a request may have gone out
            self.close()
            raise
        self._next_cycle()
        return answer

    async def begin(self, target: str, headers: Headers, first: bytes) -> "asyncio.Task[Answer]":
        """Begin a POST whose body comes in parts, with the first of them. Raises ConnectionBroken.

        The task listens for the answer from now on. Where it ends before the body does, the answer came too early or
        the connection has broken: no further part will be taken.
        """
        await self._open()
        request = self._request("POST", target, [*headers, ("Transfer-Encoding", "chunked")])
        await self._send(request, h11.Data(first))
        self._listening = asyncio.create_task(self._listen())
        return self._listening

    async def part(self, data: bytes) -> None:
        """Send a part as one chunk, at once; waits while the other end takes no more. Raises ConnectionBroken."""
        await self._send(h11.Data(data))
        await asyncio.sleep(0)  # an app that never waits would keep the answer from being heard

    async def end(self, last: bytes, trailers: Headers) -> None:
        """End the body, with a last part or none. The answer is the listening task's. Raises ConnectionBroken."""
        await self._send(h11.Data(last), h11.EndOfMessage(headers=_encoded(trailers)))

    def close(self) -> None:
        """Let go of the connection; the next request opens another."""
        if self._listening is not None:
            self._listening.cancel()
            self._listening = None
        if self._writer is not None:
            self._writer.transport.abort()
            self._writer = None

    async def _open(self) -> None:
        if self._writer is not None and self._reader is not None and not self._reader.at_eof():
            return
        self.close()
        try:
            self._reader, self._writer = await asyncio.open_connection(self._host, int(self._port))
        except OSError as error:
            raise ConnectionBroken("cannot be reached") from error
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)

    def _request(self, method: str, target: str, headers: Headers) -> h11.Request:
        host = ("Host", f"{self._host}:{self._port}")
        return h11.Request(method=method, target=target, headers=_encoded([host, *headers]))

    async def _send(self, *events: h11.Event) -> None:
        if self._writer is None or self._writer.is_closing():
            raise ConnectionBroken("closed")
        try:
            self._writer.write(b"".join(self._http.send(event) or b"" for event in events))
            await self._writer.drain()
        except (OSError, h11.LocalProtocolError) as error:
            raise ConnectionBroken("broke off") from error

    async def _listen(self) -> Answer:
        try:
            answer = await self._answer()
            if self._http.our_state is h11.DONE:
                self._next_cycle()
                return answer
        except ConnectionBroken:
            self._abort()
            raise
        self._abort()  # so that a part which waits to be taken waits no longer
        return answer

    async def _answer(self) -> Answer:
        status, headers, body = 0, dict[str, str](), bytearray()
        while not isinstance(event := await self._event(), h11.EndOfMessage):
            if isinstance(event, h11.Response):
                status = event.status_code
                headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > MAX_ANSWER:
                    raise ConnectionBroken(f"sent more than {MAX_ANSWER} bytes")
            elif isinstance(event, h11.ConnectionClosed):
                raise ConnectionBroken("left without an answer")
        return Answer(status, headers, bytes(body))

    async def _event(self) -> object:
        if self._reader is None:
            raise ConnectionBroken("closed")
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                self._http.receive_data(await self._reader.read(READ))
        except (OSError, h11.RemoteProtocolError) as error:
            raise ConnectionBroken("broke off, or does not speak HTTP") from error
        return event

    def _next_cycle(self) -> None:
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        else:
            self._abort()  # it has said that it will close

    def _abort(self) -> None:
        if self._writer is not None:
            self._writer.transport.abort()
            self._writer = None


def _encoded(headers: Headers) -> list[tuple[bytes, bytes]]:
    return [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers]
