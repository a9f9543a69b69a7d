"""Requests as the events that AWS invokes a function with, and its responses read back.

The events in events/ have the shapes of AWS's documentation: the proxy events of API Gateway's REST APIs
and HTTP APIs, of Function URLs and load balancers (Lambda's and Elastic Load Balancing's guides), and the
origin request of Lambda@Edge (CloudFront's guide, "Lambda@Edge event structure").
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import orjson

EVENTS = Path(__file__).parent / "events"
Event = dict[str, Any]


@dataclass(frozen=True)
class Sent:
    """A request, before it is an event."""

    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    query: str = ""
    body: bytes | None = None
    as_base64: bool = False

    @property
    def text(self) -> str | None:
        """The body as an event holds it."""
        if self.body is None:
            return None
        return base64.b64encode(self.body).decode() if self.as_base64 else self.body.decode()


def _load(name: str) -> Event:
    event: Event = orjson.loads((EVENTS / f"{name}.json").read_bytes())
    return event


def rest_api(sent: Sent) -> Event:
    """API Gateway's REST API, "version 1"."""
    event, query = _load("rest_api"), dict(parse_qsl(sent.query))
    event["headers"] |= sent.headers
    event["multiValueHeaders"] |= {name: [value] for name, value in sent.headers.items()}
    event["requestContext"] |= {"httpMethod": sent.method, "path": f"/prod{sent.path}"}
    event |= {"httpMethod": sent.method, "path": sent.path, "pathParameters": {"proxy": sent.path[1:]}}
    event["queryStringParameters"] = query or None
    event["multiValueQueryStringParameters"] = {name: [value] for name, value in query.items()} or None
    return event | {"body": sent.text, "isBase64Encoded": sent.as_base64}


def _version_2(name: str, sent: Sent) -> Event:
    event = _load(name)
    event["headers"] |= {name.lower(): value for name, value in sent.headers.items()}
    event["requestContext"]["http"] |= {"method": sent.method, "path": sent.path}
    event |= {"rawPath": sent.path, "rawQueryString": sent.query, "isBase64Encoded": sent.as_base64}
    if sent.query:
        event["queryStringParameters"] = dict(parse_qsl(sent.query))
    return event | ({} if sent.body is None else {"body": sent.text})


def http_api(sent: Sent) -> Event:
    """API Gateway's HTTP API, "version 2"."""
    return _version_2("http_api", sent)


def function_url(sent: Sent) -> Event:
    """A Function URL."""
    return _version_2("function_url", sent)


def alb(sent: Sent) -> Event:
    """An application load balancer."""
    event = _load("alb")
    event["headers"] |= {name.lower(): value for name, value in sent.headers.items()}
    event["queryStringParameters"] = dict(pair.split("=") for pair in sent.query.split("&") if pair)
    return _to_alb(event, sent)


def alb_multi_value(sent: Sent) -> Event:
    """An application load balancer whose target group has multi-value headers enabled."""
    event = _load("alb_multi_value")
    event["multiValueHeaders"] |= {name.lower(): [value] for name, value in sent.headers.items()}
    pairs = [pair.split("=") for pair in sent.query.split("&") if pair]
    event["multiValueQueryStringParameters"] = {name: [value] for name, value in pairs}
    return _to_alb(event, sent)


def _to_alb(event: Event, sent: Sent) -> Event:
    return event | {
        "httpMethod": sent.method,
        "path": sent.path,
        "body": sent.text or "",
        "isBase64Encoded": sent.as_base64,
    }


def lambda_at_edge(sent: Sent) -> Event:
    """CloudFront, as an origin request that includes the body."""
    event = _load("lambda_at_edge")
    request = event["Records"][0]["cf"]["request"]
    request["headers"] |= {name.lower(): [{"key": name, "value": value}] for name, value in sent.headers.items()}
    request |= {"method": sent.method, "uri": sent.path, "querystring": sent.query}
    if sent.body is not None:
        encoded = base64.b64encode(sent.body).decode()
        request["body"] = {"inputTruncated": False, "action": "read-only", "encoding": "base64", "data": encoded}
    return event


SHAPES: dict[str, Callable[[Sent], Event]] = {
    shape.__name__: shape for shape in (rest_api, http_api, function_url, alb, alb_multi_value, lambda_at_edge)
}


@dataclass(frozen=True)
class Answered:
    """A function's response, whatever its shape."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read."""
        return orjson.loads(self.body)


def answered(response: Event) -> Answered:
    """Read a response in the shape that the invoking service expects."""
    headers: dict[str, Any] = dict(response.get("headers") or {})
    headers |= {name: values[-1] for name, values in (response.get("multiValueHeaders") or {}).items()}
    if "status" in response:  # Lambda@Edge's
        headers = {name: values[0]["value"] for name, values in headers.items()}
    body = response.get("body", "")
    return Answered(
        status=int(response["status"] if "status" in response else response["statusCode"]),
        headers={name.lower(): value for name, value in headers.items()},
        body=base64.b64decode(body) if response["isBase64Encoded"] else body.encode(),
    )
