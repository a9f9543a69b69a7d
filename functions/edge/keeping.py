"""Keeping: an answer under an `Idempotency-Key` on its way out, and the same answer given again.

Only an answer with status 200 that is whole is kept: a stream is whole with its `[DONE]`. It is in the ledger
before its last byte goes out. Whatever ends otherwise abandons the key, so that a retry runs: before the
error goes out, where there is one.
"""

import asyncio
import zlib

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from functions.edge.attempt import Attempt
from functions.edge.events import ends_with_error
from functions.edge.relayed_stream import STREAM_HEADERS, RelayedStream
from penstock.ledger import MAX_ANSWER, StoredAnswer
from penstock.schemas.completion import DONE

MAX_UNPACKED = 16 * MAX_ANSWER  # bytes; of an answer that is longer, only that it was given is kept


class Keeping(Response):
    """The response, passed on as it is, and kept once it is whole."""

    def __init__(self, response: Response, attempt: Attempt) -> None:
        super().__init__()
        self._response = response
        self._attempt = attempt
        self._copy = _Copy()
        self._ended = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""

        async def pass_on(message: Message) -> None:
            if message["type"] == "http.response.body" and not self._ended:
                await self._keep(message)
            await send(message)

        try:
            await self._response(scope, receive, pass_on)
        finally:
            if not self._ended:
                await asyncio.shield(self._attempt.abandon())

    async def _keep(self, message: Message) -> None:
        body, last = message.get("body", b""), not message.get("more_body", False)
        self._copy.add(body)
        streams = isinstance(self._response, RelayedStream)
        if (body.endswith(DONE) if streams else last) and self._response.status_code == 200:
            await self._attempt.remember(self._answer())
            self._ended = True
        elif last or (streams and ends_with_error(body)):
            await self._attempt.abandon()
            self._ended = True

    def _answer(self) -> StoredAnswer | None:
        packed = self._copy.packed()
        if packed is None:
            return None
        return StoredAnswer(self._response.status_code, self._response.headers["content-type"], packed)


class _Copy:
    """What has gone out so far, compressed; nothing any more once it is too long to be kept."""

    def __init__(self) -> None:
        self._compress = zlib.compressobj()
        self._packed = bytearray()
        self._unpacked = 0

    def add(self, data: bytes) -> None:
        """Add a part."""
        self._unpacked += len(data)
        if self._too_long():
            self._packed.clear()
        else:
            self._packed += self._compress.compress(data)

    def packed(self) -> bytes | None:
        """All of it; None where it is too long."""
        if self._too_long():
            return None
        packed = bytes(self._packed) + self._compress.flush()
        return packed if len(packed) <= MAX_ANSWER else None

    def _too_long(self) -> bool:
        return self._unpacked > MAX_UNPACKED


def given_again(answer: StoredAnswer) -> Response:
    """The answer as it was: its status, its content type, its bytes; a stream as a stream."""
    body = zlib.decompressobj().decompress(answer.body, MAX_UNPACKED)
    headers = {"Content-Type": answer.content_type, "Idempotent-Replayed": "true"}
    response = Response(body, answer.status, headers=headers)
    if answer.content_type.startswith(RelayedStream.media_type):
        response.headers.update(STREAM_HEADERS)
        del response.headers["content-length"]
    return response
