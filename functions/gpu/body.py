"""A request's body, read within bounds of size and time."""

import asyncio

from starlette.datastructures import Headers
from starlette.types import Receive, Scope

from functions.gpu.presence import ClientGone
from penstock.errors import ApiError, BodyTooLarge

BODY_WITHIN_S = 30.0  # from the ticket's check to the last byte


class BodyTooSlow(ApiError):
    """408: the body took too long to arrive."""

    status = 408
    type = "invalid_request_error"
    code = "request_timeout"


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The whole body, of at most `limit` bytes. Raises BodyTooLarge, BodyTooSlow, ClientGone."""
    declared = Headers(scope=scope).get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise _too_large(limit)
    try:
        async with asyncio.timeout(BODY_WITHIN_S):
            return await _read(receive, limit)
    except TimeoutError:
        message = f"The body did not arrive within {BODY_WITHIN_S:g} seconds."
        raise BodyTooSlow(message, headers={"Connection": "close"}) from None


async def _read(receive: Receive, limit: int) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        body += message.get("body", b"")
        if len(body) > limit:
            raise _too_large(limit)
        if not message.get("more_body", False):
            return bytes(body)


def _too_large(limit: int) -> BodyTooLarge:
    # The rest of the body is not read, so the connection cannot serve another request.
    return BodyTooLarge(f"The body is over the limit of {limit} bytes.", headers={"Connection": "close"})
