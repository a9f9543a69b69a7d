"""The GPU's refusals, as the edge passes them on.

They come in the same envelope. What concerns the request goes to the caller as it is; a ticket that the
GPU does not accept is our fault and no business of the caller's.
"""

import asyncio

import aiohttp
import orjson

from penstock.errors import ApiError, Unavailable, UpstreamFailed

MAX_ERROR = 64 << 10  # bytes
ERROR_WITHIN = 10  # seconds
_PASSED_ON = ("Retry-After", "x-should-retry")


class Refusal(ApiError):
    """An error as the GPU process put it."""

    def __init__(self, status: int, kind: str, message: str, param: str | None, code: str | None) -> None:
        super().__init__(message, param=param, code=code)
        self.status = status
        self.type = kind


async def read_error(response: aiohttp.ClientResponse) -> ApiError:
    """The error in an answer whose status is not 200. The connection is closed."""
    try:
        error = orjson.loads(await _body(response.content))["error"]
        refusal = Refusal(response.status, error["type"], error["message"], error["param"], error["code"])
    except (aiohttp.ClientError, TimeoutError, orjson.JSONDecodeError, LookupError, TypeError):
        return UpstreamFailed(f"The GPU process answered with status {response.status}.")
    finally:
        response.close()
    # It waits for the body, which is whole here: a timeout is no more the caller's fault than a redirect.
    if response.status < 400 or response.status == 408:
        return UpstreamFailed(f"The GPU process answered with status {response.status}.")
    if response.status in (401, 403):
        return UpstreamFailed("The GPU process did not accept the ticket.", code="ticket_refused")
    if response.status == 409:
        return Unavailable("The GPU process broke off before it answered.")
    refusal.headers = {name: response.headers[name] for name in _PASSED_ON if name in response.headers}
    return refusal


async def _body(content: aiohttp.StreamReader) -> bytes:
    """All of it, as far as an error may be long."""
    body = bytearray()
    async with asyncio.timeout(ERROR_WITHIN):
        async for chunk in content.iter_any():
            body += chunk
            if len(body) > MAX_ERROR:
                break
    return bytes(body)
