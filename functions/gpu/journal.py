"""The outermost layer of every request: its id, its two headers, and its one line in the log.

The id is the lease's as soon as a ticket names one, which is the edge's for the same request. What was sent as
`X-Request-Id` is logged where it is another, so that a request which was refused before its ticket held is found at
both ends: by the edge it is the edge's id, by a client that was redirected whatever it likes. So is the id of the
trace that the request says it belongs to. Neither is a key of anything.

The line holds ids, counts, times and error types, and never a ticket, a prompt or an answer. The path is
logged only where it is a route's: another is the caller's text, and may hold anything.
"""

import time
from typing import Any

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from penstock.admission import new_request_id
from penstock.errors import ApiError
from penstock.ledger import Lease, Usage
from penstock.trace import read_callers_id, read_trace

ROUTINE = ("/health", "/metrics")  # what machines ask every few seconds

log = structlog.get_logger()


class Entry:
    """What the journal will say of one request."""

    def __init__(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        self.request_id = new_request_id()  # until a ticket names the lease
        self.begun = time.monotonic()
        self.facts: dict[str, Any] = {"method": scope["method"], "status": None}
        self._callers_id = read_callers_id(headers.getlist)
        if (trace := read_trace(headers.getlist).id) is not None:
            self.facts.update(trace_id=trace)

    def admitted(self, lease: Lease) -> None:
        """From here on it is the lease's request."""
        self.request_id = lease.id
        self.facts.update(account=lease.account_id, key_id=lease.key_id, model=lease.model)

    def booked(self, outcome: str | None, usage: Usage | None, first_token_at: float | None) -> None:
        """What was booked for the request, and as what; nothing where its lease was not ours."""
        if usage is None:
            return
        self.facts.update(
            outcome=outcome,
            prompt_tokens=usage.prompt_tokens,
            cached_prompt_tokens=usage.cached_prompt_tokens,
            completion_tokens=usage.completion_tokens,
            ttft_ms=None if first_token_at is None else _ms(first_token_at - self.begun),
        )

    def ids(self) -> dict[str, str | None]:
        """The request's id, and the one that it came with where that is another."""
        ids: dict[str, str | None] = {"request_id": self.request_id}
        if self._callers_id not in (None, self.request_id):
            ids.update(client_request_id=self._callers_id)
        return ids

    def gone(self) -> None:
        """The client left; there was nobody to tell anything."""
        self.facts.update(error="client_gone")

    def failed(self, error: ApiError) -> None:
        """What the client was told."""
        self.facts.update(error=error.code, error_type=error.type)


class Journal:
    """ASGI middleware around everything else."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request and write it down."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        entry = scope["penstock"] = Entry(scope)

        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                entry.facts["status"] = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = entry.request_id
                headers["Penstock-Gpu"] = "1"  # a 503 of ours, and not of a cold Modal Server
            await send(message)

        try:
            await self._app(scope, receive, stamped)
        finally:
            _write(entry, scope)


def _write(entry: Entry, scope: Scope) -> None:
    route = getattr(scope.get("route"), "path", "unmatched")
    level = log.debug if route.startswith(ROUTINE) else log.info
    duration = _ms(time.monotonic() - entry.begun)
    level("request", **entry.ids(), route=route, duration_ms=duration, **entry.facts)


def _ms(seconds: float) -> float:
    return round(seconds * 1_000, 1)
