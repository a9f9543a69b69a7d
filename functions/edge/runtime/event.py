"""The events of API Gateway and of Function URLs, as ASGI's scope and body.

Mangum reads them; what is mended here is what it takes amiss, for `handler` (which is given these classes) and for
`streaming` alike, so that both functions see the same request:

- `headers`, `rawQueryString` or `identity` that are null, and a source address that is missing, are none;
- a header that is null, or a Host or X-Forwarded-Port that is none, is left out and does not end the invocation;
- several Cookie headers are one, joined as RFC 6265 has it, and not with commas.

REST APIs send payload 1.0, HTTP APIs 1.0 or 2.0, Function URLs 2.0. A load balancer and CloudFront are Mangum's alone:
neither takes a stream from a function.
"""

import re
from typing import Any

from mangum.handlers import APIGateway, HTTPGateway
from mangum.types import LambdaConfig, LambdaContext, LambdaEvent, LambdaHandler, Scope

CONFIG = LambdaConfig(api_gateway_base_path="/", text_mime_types=[], exclude_headers=[])

_HOST = re.compile(r"[^:\s]+(:[0-9]{1,5})?")
_PORT = re.compile(r"[0-9]{1,5}")
_WELL_FORMED = {"host": _HOST, "x-forwarded-port": _PORT}


class NoRequest(Exception):
    """The event is no HTTP request that can be answered with a stream."""


class HttpEvent(HTTPGateway):
    """An event that says its version: of an HTTP API, or of a Function URL."""

    def __init__(self, event: LambdaEvent, context: LambdaContext, config: LambdaConfig) -> None:
        super().__init__(_whole(event), context, config)

    @property
    def scope(self) -> Scope:
        """ASGI's, with Mangum's additions."""
        return _without_nobody(super().scope)


class RestEvent(APIGateway):
    """An event of a REST API."""

    def __init__(self, event: LambdaEvent, context: LambdaContext, config: LambdaConfig) -> None:
        super().__init__(_whole(event), context, config)

    @property
    def scope(self) -> Scope:
        """ASGI's, with Mangum's additions."""
        return _without_nobody(super().scope)


HANDLERS: tuple[type[LambdaHandler], ...] = (HttpEvent, RestEvent)


def read_event(event: Any, context: Any) -> tuple[Scope, bytes]:
    """The scope and the body. Raises NoRequest."""
    if isinstance(event, dict):
        for handler in HANDLERS:
            if handler.infer(event, context, CONFIG):
                try:
                    read = handler(event, context, CONFIG)
                    return read.scope, read.body
                except (AttributeError, KeyError, TypeError, ValueError) as error:
                    raise NoRequest("the event is not one of an HTTP request") from error
    raise NoRequest("the event is none of API Gateway or of a Function URL")


def _whole(event: LambdaEvent) -> LambdaEvent:
    """The event without what Mangum stumbles over."""
    context = event["requestContext"]
    http, identity = context.get("http"), context.get("identity") or {}
    if http is not None:
        context = {**context, "http": {"sourceIp": None, **http}}
    whole = {**event, "headers": _headers(event), "requestContext": {**context, "identity": identity}}
    if "rawQueryString" in event:
        whole["rawQueryString"] = event["rawQueryString"] or ""
    return {name: value for name, value in whole.items() if name != "multiValueHeaders"}


def _headers(event: LambdaEvent) -> dict[str, str]:
    """One value for each name. Several are in an event's `multiValueHeaders`; in 2.0 they come joined already."""
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items() if value is not None}
    for name, values in (event.get("multiValueHeaders") or {}).items():
        if values:
            headers[name.lower()] = ("; " if name.lower() == "cookie" else ", ").join(values)
    return {name: value for name, value in headers.items() if _is_well_formed(name, value)}


def _is_well_formed(name: str, value: str) -> bool:
    pattern = _WELL_FORMED.get(name)
    return pattern is None or pattern.fullmatch(value) is not None


def _without_nobody(scope: Scope) -> Scope:
    """ASGI has no client where its address is not known."""
    if not scope["client"][0]:
        scope["client"] = None
    return scope
