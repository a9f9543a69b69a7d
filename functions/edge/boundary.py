"""The outermost layer: a request's id, its one log line, and the last resort for what nobody caught.

The id is ours and new for every request: `x-request-id` on every answer. A caller's own id, sent as
`x-request-id` or OpenAI's `X-Client-Request-Id`, comes back as `x-client-request-id` and is logged, and
is never a key of anything.
"""

import asyncio
import re
import time
from typing import Any

import orjson
import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from penstock.admission import new_request_id
from penstock.errors import ApiError, Internal, Unavailable

_WELL_FORMED = re.compile(r"[A-Za-z0-9._:-]{1,128}")
CLIENT_GONE = 499  # nginx's status for a request whose client left; it is only logged

log = structlog.get_logger()


def error_response(error: ApiError) -> Response:
    """The error as a response in OpenAI's envelope."""
    body = orjson.dumps(error.envelope())
    return Response(body, error.status, headers=error.headers, media_type="application/json")


def stopping() -> Unavailable:
    """The refusal of an edge that is stopping."""
    return Unavailable("The edge is stopping.", code="edge_stopping")


class BrokenOff(Exception):
    """An answer was begun and cannot be ended. The server that runs the app closes the connection."""


class Boundary:
    """ASGI middleware around everything else."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; of what is raised below only that it was gets past here, as BrokenOff."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        passage = _Passage(scope, send)
        try:
            await self._app(scope, receive, passage.send)
        except ClientDisconnect:
            passage.facts["status"] = CLIENT_GONE
        except asyncio.CancelledError:
            # The process is stopping, and this request with it. A stream has said so itself.
            if not passage.cut_short():
                await error_response(stopping())(scope, receive, passage.send)
        except Exception as error:
            if passage.crashed(error):
                raise BrokenOff from None
            await error_response(Internal("Something went wrong on our side."))(scope, receive, passage.send)
        finally:
            passage.log()


class _Passage:
    """One request through the boundary."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._send = send
        self._begun = time.monotonic()
        self.request_id = new_request_id()
        self.facts: dict[str, Any] = {"method": scope["method"], "status": None}
        self._scope = scope
        self._client_id = _client_id(Headers(scope=scope))
        scope["penstock"] = {"request_id": self.request_id, "facts": self.facts}

    async def send(self, message: Message) -> None:
        """Pass a message on, with the ids on the response's headers."""
        if message["type"] == "http.response.start":
            self.facts["status"] = message["status"]
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = self.request_id
            if self._client_id is not None:
                headers["x-client-request-id"] = self._client_id
        await self._send(message)

    def cut_short(self) -> bool:
        """Note that the request was cancelled; whether an answer was begun."""
        begun = self.facts["status"] is not None
        self.facts.update(error="edge_stopping")
        return begun

    def crashed(self, error: Exception) -> bool:
        """Note the crash; whether an answer was begun. The error's text may hold content: only its type is logged."""
        begun = self.facts["status"] is not None
        self.facts.update(crash=type(error).__name__, at=_where(error))
        return begun

    def log(self) -> None:
        """The request's one line."""
        route = self._scope.get("route")
        log.info(
            "request",
            request_id=self.request_id,
            client_request_id=self._client_id,
            # The route and not the path: a path is the caller's text, and may hold anything.
            route=getattr(route, "path", "unmatched"),
            duration_ms=round((time.monotonic() - self._begun) * 1_000, 1),
            **self.facts,
        )


def _client_id(headers: Headers) -> str | None:
    sent = headers.get("x-request-id") or headers.get("x-client-request-id") or ""
    return sent if _WELL_FORMED.fullmatch(sent) else None


def _where(error: BaseException) -> str:
    """The file's name and the line that raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}" if trace else "?"
