"""`GET /v1/files/{id}/content`: what is in a file, as it comes from the storage.

Where the storage signs URLs, what is long comes from there (307), and not by way of the edge.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from urllib.parse import quote

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from functions.edge.exchange import Exchange, Route
from functions.edge.filing import found_file
from functions.edge.policies import POLICIES
from functions.edge.query import FILE_ID
from penstock.batches.records import File, FileState
from penstock.errors import Conflict, NotFound
from penstock.objects import Missing

# Bytes. Lambda takes 6 MB of a function that does not stream, as JSON, in which text may become twice as long.
INLINE = 3_000_000
DOWNLOAD_WITHIN = 60 * 60  # seconds, that a signed URL is good for
MEDIA_TYPE = "application/jsonl"


async def _content(exchange: Exchange) -> Response:
    file = await found_file(exchange, exchange.request.path_params["id"])
    exchange.facts.update(subject=file.id, bytes=file.size)
    if file.state is FileState.PENDING:
        raise Conflict("The file's content has not been put at its URL yet.", code="file_not_ready")
    objects = await exchange.edge.storage.objects()
    if file.size > INLINE:
        url = await objects.signed_get(file.address, filename=file.filename, expires_s=DOWNLOAD_WITHIN)
        if url is not None:
            return Response(status_code=307, headers={"Location": url})
    chunks = objects.chunks(file.address)
    try:
        first = await anext(chunks, b"")
    except Missing:
        raise NotFound("The file's content is not there any more.", code="file_not_found") from None
    return _Content(file, first, chunks)


class _Content(StreamingResponse):
    """A file's content, of which the beginning was read; whoever leaves ends the reading."""

    def __init__(self, file: File, first: bytes, rest: AsyncGenerator[bytes]) -> None:
        headers = {"Content-Length": str(file.size), "Content-Disposition": _disposition(file.filename)}
        super().__init__(_joined(first, rest), headers=headers, media_type=MEDIA_TYPE)
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        async with aclosing(self._rest):
            await super().__call__(scope, receive, send)


async def _joined(first: bytes, rest: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk


def _disposition(filename: str) -> str:
    """As RFC 6266 has it: the name in ASCII, and in full."""
    plain = "".join(letter if " " <= letter <= "~" and letter not in '"\\%' else "_" for letter in filename)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"


CONTENT = Route(
    "GET",
    "/v1/files/{id}/content",
    _content,
    policies=POLICIES[:1],
    group="files",
    summary="What is in a file.",
    openapi={"parameters": [FILE_ID]},
    responses={
        200: {
            "description": "JSON lines",
            "content": {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}},
        },
        307: {"description": "It is to be had at the storage"},
    },
)
