"""A request's body: JSON by its type, and bounded before it is read."""

from starlette.requests import Request

from penstock.errors import BadRequest, BodyTooLarge

_DIGITS = 18  # of a length; Python itself refuses to read a number of thousands of them


async def read_body(request: Request, limit: int) -> bytes:
    """The body, never more of it in memory than the limit and one chunk. Raises BadRequest or BodyTooLarge."""
    content_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if content_type != "application/json":
        raise BadRequest("The Content-Type must be application/json.", code="invalid_content_type")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and (len(declared) > _DIGITS or int(declared) > limit):
        raise _too_large(limit)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise _too_large(limit)
    return bytes(body)


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"The body is over the limit of {limit} bytes.")
