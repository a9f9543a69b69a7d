"""The outermost layer: a request's id and trace, its one log line, the headers of every answer, and the last resort
for what nobody caught or what took too long.

The id is ours and new for every request: `x-request-id` on every answer. A caller's own id, sent as
`x-request-id` or OpenAI's `X-Client-Request-Id`, comes back as `x-client-request-id` and is logged, and
is never a key of anything.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import orjson
import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from functions.edge.deadline import deadline_of
from functions.edge.events import is_over
from functions.edge.security_headers import secure
from penstock.admission import new_request_id
from penstock.errors import ApiError, DeadlineExceeded, Internal, Unavailable
from penstock.schemas.completion import error_event
from penstock.trace import read_callers_id, read_trace

CLIENT_GONE = 499  # nginx's status for a request whose client left; it is only logged

log = structlog.get_logger()


def error_response(error: ApiError) -> Response:
    """The error as a response in OpenAI's envelope."""
    body = orjson.dumps(error.envelope())
    return Response(body, error.status, headers=error.headers, media_type="application/json")


def interruption(scope: Scope) -> ApiError:
    """Why a request was cancelled: its deadline has passed, or else the edge is stopping."""
    deadline = scope["penstock"]["deadline"]
    if deadline is not None and deadline.passed:
        return DeadlineExceeded("The answer took longer than this deployment may take for one.")
    return Unavailable("The edge is stopping.", code="edge_stopping")


class BrokenOff(Exception):
    """An answer was begun and cannot be ended. The server that runs the app closes the connection."""


def unchanged(app: ASGIApp) -> ASGIApp:
    """No layer at all."""
    return app


class Boundary:
    """ASGI middleware around everything else; `layer` is put around whatever answers, our own errors included."""

    def __init__(self, app: ASGIApp, layer: Callable[[ASGIApp], ASGIApp] = unchanged) -> None:
        self._app = layer(app)
        self._layer = layer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; of what is raised below only that it was gets past here, as BrokenOff."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        passage = _Passage(scope, send)
        try:
            await self._lead(scope, receive, passage)
        except ClientDisconnect:
            passage.facts["status"] = CLIENT_GONE
        except asyncio.CancelledError:
            # The process is stopping, and this request with it. A stream has said so itself.
            if not passage.cut_short("edge_stopping"):
                await self._tell(interruption(scope), scope, receive, passage)
        except Exception as error:
            if passage.crashed(error):
                raise BrokenOff from None
            await self._tell(Internal("Something went wrong on our side."), scope, receive, passage)
        finally:
            passage.log()

    async def _lead(self, scope: Scope, receive: Receive, passage: "_Passage") -> None:
        """Run the app, until its deadline where it has one."""
        deadline = scope["penstock"]["deadline"]
        if deadline is None:
            await self._app(scope, receive, passage.take)
            return
        if await deadline.hold(self._app(scope, receive, passage.take)):
            return
        passage.abandoned = True
        if passage.ended:
            return
        if not passage.cut_short("deadline_exceeded"):
            await self._tell(interruption(scope), scope, receive, passage)
        elif not await passage.end_stream(interruption(scope)):
            raise BrokenOff

    async def _tell(self, error: ApiError, scope: Scope, receive: Receive, passage: "_Passage") -> None:
        await self._layer(error_response(error))(scope, receive, passage.send)


class _Passage:
    """One request through the boundary."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._send = send
        self._begun = time.monotonic()
        self.request_id = new_request_id()
        self.facts: dict[str, Any] = {"method": scope["method"], "status": None}
        self.abandoned = False  # what the app still sends comes too late
        self.ended = False
        self._streams = False
        self._latest = b""  # of the body
        self._scope = scope
        headers = Headers(scope=scope)
        self._client_id = read_callers_id(headers.getlist)
        trace = read_trace(headers.getlist)
        if trace.id is not None:
            self.facts.update(trace_id=trace.id)
        scope["penstock"] = {
            "request_id": self.request_id,
            "facts": self.facts,
            "trace": trace,
            "deadline": deadline_of(scope),
        }

    async def take(self, message: Message) -> None:
        """What the app sends."""
        if not self.abandoned:
            await self.send(message)

    async def send(self, message: Message) -> None:
        """Pass a message on, with the ids and what browsers need to know on the response's headers."""
        if message["type"] == "http.response.start":
            self.facts["status"] = message["status"]
            headers = MutableHeaders(scope=message)
            self._streams = headers.get("content-type", "").startswith("text/event-stream")
            headers["x-request-id"] = self.request_id
            if self._client_id is not None:
                headers["x-client-request-id"] = self._client_id
            secure(headers, self._scope.get("scheme", "http"))
        else:
            self._latest = message.get("body", b"") or self._latest
            self.ended = not message.get("more_body", False)
        await self._send(message)

    async def end_stream(self, error: ApiError) -> bool:
        """End a stream that the app has left open, with the error unless it is over; whether it was one."""
        if self._streams and not is_over(self._latest):
            await self.send({"type": "http.response.body", "body": error_event(error.envelope()), "more_body": True})
        if self._streams:
            await self.send({"type": "http.response.body", "body": b"", "more_body": False})
        return self._streams

    def cut_short(self, code: str) -> bool:
        """Note why the request was cancelled; whether an answer was begun."""
        begun = self.facts["status"] is not None
        self.facts.update(error=code)
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


def _where(error: BaseException) -> str:
    """The file's name and the line that raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}" if trace else "?"
