"""Cross-origin requests: whether a page of another site may call this API from a browser.

`PENSTOCK_CORS_ORIGINS` says which may; unset, none may, and no answer has a header of CORS. A preflight is answered
here, without a key: browsers send none with it. Keys come in headers that a page sets itself, so there is no
credentials mode: cookies mean nothing here. Errors have the headers as well, or a page could not read them.

Which headers a page may send is a list, since CORS knows no pattern: ours, OpenAI's (its JavaScript client's
`x-stainless-*` are those of version 6), and those of trace context. What a page may not send is its browser's to
enforce; nobody else is held to any of this.
"""

from collections.abc import Callable, Sequence

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
REQUEST_HEADERS = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "OpenAI-Beta",
    "OpenAI-Organization",
    "OpenAI-Project",
    "Penstock-Delivery",
    "traceparent",
    "tracestate",
    "User-Agent",
    "X-Amzn-Trace-Id",
    "x-api-key",
    "X-Client-Request-Id",
    "X-Request-Id",
    "X-Stainless-Arch",
    "X-Stainless-Async",
    "X-Stainless-Helper-Method",
    "X-Stainless-Lang",
    "X-Stainless-OS",
    "X-Stainless-Package-Version",
    "X-Stainless-Retry-Count",
    "X-Stainless-Runtime",
    "X-Stainless-Runtime-Version",
    "X-Stainless-Timeout",
)
EXPOSED_HEADERS = (
    "Idempotent-Replayed",
    "Penstock-Delivery",
    "Retry-After",
    "x-client-request-id",
    *(f"x-ratelimit-{what}-{of}" for what in ("limit", "remaining", "reset") for of in ("requests", "tokens")),
    "x-request-id",
    "x-should-retry",
)
PREFLIGHT_S = 7_200  # for which a browser may believe a preflight; the most that Chrome does

Layer = Callable[[ASGIApp], ASGIApp]


def cross_origin(origins: Sequence[str]) -> Layer:
    """What adds CORS's headers to the answers of an app, for these origins; `*` is any."""

    def layer(app: ASGIApp) -> ASGIApp:
        if not origins:
            return app
        return CORSMiddleware(
            app,
            allow_origins=origins,
            allow_methods=METHODS,
            allow_headers=REQUEST_HEADERS,
            expose_headers=EXPOSED_HEADERS,
            max_age=PREFLIGHT_S,
        )

    return layer
