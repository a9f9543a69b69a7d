"""Mangum, where it would lose an answer or believe a caller.

- Lambda takes at most 6 MB of a function that does not stream, and loses what is longer: the caller would see API
  Gateway's own 502. Such an answer is a 413 here, with the code `answer_too_large`; what it has cost stands.
- An answer that broke off after it had begun is a 500 in the envelope: nothing of it has gone out.
- A load balancer appends the address that it sees to what the client has sent as `X-Forwarded-For`; Mangum takes all
  of it for the client's address. Here it is the last. (Of API Gateway and Function URLs it is `sourceIp`, which they
  write themselves; of CloudFront its `clientIp`.)

What Mangum calls text goes out as text, the rest as base64: JSON, events, CSV and pages are text.
"""

from collections.abc import Iterable
from typing import Any

import orjson
import structlog
from mangum import Mangum
from mangum.types import LambdaContext, LambdaEvent, LambdaHandler, Response, Scope
from starlette.datastructures import MutableHeaders

from functions.edge.security_headers import secure
from penstock.errors import AnswerTooLarge, ApiError, Internal

MAX_RESPONSE = 6 << 20  # bytes, of the response as JSON
HEAD = 64 << 10  # of them, for everything but the body
# What is said of an answer's body, and not of the one that is sent in its stead.
_OF_THE_BODY = ("content-length", "content-type", "content-encoding", "content-disposition", "cache-control")

log = structlog.get_logger()


class Buffered(Mangum):
    """Mangum with the answers and addresses that are meant."""

    def infer(self, event: LambdaEvent, context: LambdaContext) -> LambdaHandler:
        """Who reads the event and writes the response."""
        return _Answering(super().infer(event, context))


class _Answering:
    """The handler of one event."""

    def __init__(self, handler: LambdaHandler) -> None:
        self._handler = handler

    @classmethod
    def infer(cls, *_: Any) -> bool:
        """It is never asked: who is wrapped here was."""
        return False

    @property
    def body(self) -> bytes:
        """The request's body."""
        return self._handler.body

    @property
    def scope(self) -> Scope:
        """The request."""
        scope = self._handler.scope
        if "elb" in scope["aws.event"].get("requestContext", {}):
            scope["client"] = (scope["client"][0].rpartition(",")[2].strip(), 0)
        return scope

    def __call__(self, response: Response) -> dict[str, Any]:
        """The response as Lambda takes it."""
        headers = MutableHeaders(raw=[(bytes(name), bytes(value)) for name, value in response["headers"]])
        if "x-request-id" not in headers:  # Mangum's own
            secure(headers, "https")
            return self._handler(_told(Internal("Something went wrong on our side."), headers))
        if _size(response["body"]) > MAX_RESPONSE - HEAD:
            log.warning("answer_too_large", request_id=headers["x-request-id"], bytes=len(response["body"]))
            return self._handler(_told(_too_large(), headers))
        return self._handler(response)


def _size(body: bytes) -> int:
    """The bytes that the body has in the response's JSON, where quotes and line breaks are escaped."""
    if len(body) * 6 <= MAX_RESPONSE - HEAD:  # no character becomes longer than six
        return len(body)
    try:
        return len(orjson.dumps(body.decode()))
    except UnicodeDecodeError:
        return len(body) * 4 // 3 + 4  # base64


def _too_large() -> AnswerTooLarge:
    return AnswerTooLarge("The answer is longer than this deployment can send. Ask for less at a time.")


def _told(error: ApiError, headers: MutableHeaders) -> Response:
    """The error, with what the headers say of the request."""
    body = orjson.dumps(error.envelope())
    kept = [(name, value) for name, value in _pairs(headers) if name.decode() not in _OF_THE_BODY]
    said = {"content-type": "application/json", "cache-control": "no-store", "content-length": str(len(body))}
    said |= {name.lower(): value for name, value in error.headers.items()}
    return Response(
        status=error.status,
        headers=[[*pair] for pair in [*kept, *((name.encode(), value.encode()) for name, value in said.items())]],
        body=body,
    )


def _pairs(headers: MutableHeaders) -> Iterable[tuple[bytes, bytes]]:
    return ((name.lower(), value) for name, value in headers.raw)
