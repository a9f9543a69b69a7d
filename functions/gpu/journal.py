"""The outermost layer of every request: its id, its two headers, and its one line in the log.

The line holds ids, counts, times and error types, and never a ticket, a prompt or an answer. The path is
logged only where it is a route's: another is the caller's text, and may hold anything.
"""

import time
from typing import Any

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from penstock.admission import new_request_id
from penstock.errors import ApiError
from penstock.ledger import Lease, Usage

ROUTINE = ("/health", "/metrics")  # what machines ask every few seconds

log = structlog.get_logger()


class Entry:
    """What the journal will say of one request."""

    def __init__(self, method: str) -> None:
        self.request_id = new_request_id()  # until a ticket names the lease
        self.begun = time.monotonic()
        self.facts: dict[str, Any] = {"method": method, "status": None}

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
        entry = scope["penstock"] = Entry(scope["method"])

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
    level("request", request_id=entry.request_id, route=route, duration_ms=duration, **entry.facts)


def _ms(seconds: float) -> float:
    return round(seconds * 1_000, 1)
