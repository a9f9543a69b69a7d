"""A request's body: JSON by its type, and bounded before it is read."""

from starlette.requests import Request

from penstock.errors import BadRequest, BodyTooLarge

_DIGITS = 18  # of a length; Python itself refuses to read a number of thousands of them


async def read_body(request: Request, limit: int, *, instead: str = "") -> bytes:
    """The body, never more of it in memory than the limit and one chunk. Raises BadRequest or BodyTooLarge.

    `instead` is another type that the route takes, of which this body is none.
    """
    content_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if content_type != "application/json":
        types = " or ".join(filter(None, (instead, "application/json")))
        raise BadRequest(f"The Content-Type must be {types}.", code="invalid_content_type")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and (len(declared) > _DIGITS or int(declared) > limit):
        raise too_large(limit)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise too_large(limit)
    return bytes(body)


def too_large(limit: int) -> BodyTooLarge:
    """The refusal of a body, or a file, of more bytes than that."""
    return BodyTooLarge(f"The body is over the limit of {limit} bytes.")
