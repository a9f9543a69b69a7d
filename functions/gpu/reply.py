"""A reply, sent straight over ASGI, so that it is known what has left and what has not.

An error before the first byte is an HTTP error; after it, an SSE error event. A client that does not take
what it is sent within `SEND_WITHIN_S` counts as gone: it may not hold a request open.
"""

import orjson
from starlette.types import Message, Send

from functions.gpu.presence import ClientGone
from functions.gpu.watch import Watch
from penstock.errors import ApiError
from penstock.schemas.completion import error_event

SEND_WITHIN_S = 60.0  # for one part

_STREAM = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",
}


class Reply:
    """The one reply to a request."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._streaming = False
        self._complete = False
        self._watch = Watch()

    def close(self) -> None:
        """Nothing more is sent."""
        self._watch.close()

    def complete(self) -> bool:
        """Whether the last byte has left, or is leaving."""
        return self._complete

    async def part(self, events: bytes) -> None:
        """Send events of a stream; the first begins it."""
        if not self._streaming:
            self._streaming = True
            await self._start(200, _STREAM)
        await self._body(events, more=True)

    async def end(self) -> None:
        """End a stream."""
        await self._body(b"", more=False)

    async def json(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        """Send a whole reply."""
        length = {"content-type": "application/json", "content-length": str(len(body))}
        await self._start(status, length | (headers or {}))
        await self._body(body, more=False)

    async def fail(self, error: ApiError) -> None:
        """Send an error, in the way that is still open."""
        if self._streaming:
            await self._body(error_event(error.envelope()), more=False)
        else:
            await self.json(error.status, orjson.dumps(error.envelope()), error.headers)

    async def _start(self, status: int, headers: dict[str, str]) -> None:
        raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
        await self._pass({"type": "http.response.start", "status": status, "headers": raw})

    async def _body(self, body: bytes, *, more: bool) -> None:
        self._complete = not more
        await self._pass({"type": "http.response.body", "body": body, "more_body": more})

    async def _pass(self, message: Message) -> None:
        try:
            with self._watch.within(SEND_WITHIN_S):
                await self._send(message)
        except TimeoutError:
            raise ClientGone from None
