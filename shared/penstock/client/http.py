"""Calls over HTTP, without the sending: a call as a request, a redirect as the next one, a refusal as an error.

The blocking and the asynchronous caller differ in how they wait, and share everything here. What goes to storage, or
comes from there, is `penstock.client.storage`'s.
"""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx2
import orjson

from penstock import __version__
from penstock.client.call import Call, Delivery, Reply, Timeout, Upload
from penstock.client.errors import (
    ConnectionFailed,
    Misconfigured,
    StatusError,
    TimedOut,
    UnexpectedAnswer,
    status_error,
    stream_error,
)
from penstock.client.retries import MOST_RETRIES, Tries, repeatable
from penstock.client.sent import request_of
from penstock.client.sse import EventTooLong, SseDecoder

DEFAULT_TIMEOUT = httpx2.Timeout(600.0, connect=10.0)  # seconds; a cold model says nothing for a while
LONGEST_WAIT = 3_600.0  # seconds, for an answer that is in flight, where the timeout sets no bound
LIMITS = httpx2.Limits(max_connections=1_000, max_keepalive_connections=100)
LONGEST_ANSWER = 64 << 20  # bytes; the edge sends no longer one

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
JSON, EVENTS, ANYTHING = "application/json", "text/event-stream", "*/*"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the API is, who calls, and how. Raises Misconfigured for what cannot work."""

    base_url: str  # ends in /v1
    api_key: str = field(repr=False)
    timeout: Timeout | None = None  # None: DEFAULT_TIMEOUT
    max_retries: int = 2
    delivery: Delivery = "relay"

    def __post_init__(self) -> None:
        if not _is_url(self.base_url):
            raise Misconfigured(f"{self.base_url!r} is not a URL such as https://api.example.com/v1")
        if not (self.api_key.isascii() and self.api_key.isprintable() and self.api_key.strip() == self.api_key):
            raise Misconfigured("the API key holds characters that no key has")
        if not 0 <= self.max_retries <= MOST_RETRIES:
            raise Misconfigured(f"max_retries must be from 0 to {MOST_RETRIES}, not {self.max_retries}")
        if self.delivery not in ("relay", "direct"):
            raise Misconfigured(f"delivery must be 'relay' or 'direct', not {self.delivery!r}")

    @property
    def proxied(self) -> bool:
        """Whether the environment's proxy may be used: it is for other machines, not for this one."""
        return httpx2.URL(self.base_url).host not in _LOOPBACK

    def completed(self, call: Call, *, stream: bool) -> Call:
        """The call with everything said that it leaves to the client.

        A whole answer that may be asked for again gets an `Idempotency-Key`, so that it is paid for once. A stream
        gets none: with one, closing it would not end the generation. Nor does direct delivery, which the edge
        does not grant to an answer that it has to keep.
        """
        delivery = call.delivery or self.delivery
        timeout = self.timeout if call.timeout is None else call.timeout
        key = call.idempotency_key
        if key is None and call.method == "POST" and not stream and delivery == "relay" and self.max_retries:
            key = f"auto-{secrets.token_hex(16)}"
        return replace(call, delivery=delivery, timeout=timeout, idempotency_key=key)

    def tries(self, call: Call) -> Tries:
        """The tries of a completed call."""
        return self._tries(repeatable=repeatable(call), timeout=call.timeout)

    def upload_tries(self, upload: Upload) -> Tries:
        """The tries of an upload."""
        return self._tries(repeatable=True, timeout=upload.timeout)

    def _tries(self, *, repeatable: bool, timeout: Timeout | None) -> Tries:
        silence = timeout_of(timeout).read
        patience = LONGEST_WAIT if silence is None else silence
        return Tries(self.max_retries, repeatable=repeatable, patience=patience)

    def request(self, call: Call, accept: str) -> httpx2.Request:
        """The request of a completed call, for an answer of that kind."""
        headers = headers_of(accept) | {"Authorization": f"Bearer {self.api_key}"}
        if call.idempotency_key is not None:
            headers["Idempotency-Key"] = call.idempotency_key
        if call.method == "POST" and call.delivery not in (None, "relay"):
            headers["Penstock-Delivery"] = call.delivery
        url = httpx2.URL(self.base_url.rstrip("/") + call.path, params=dict(call.query) or None)
        return _request(call, url, headers)


def onward(call: Call, response: httpx2.Response, body: "Body") -> httpx2.Request:
    """The next request, where the answer is the redirect that was asked for; else raises StatusError.

    That is one to the GPU, or to the storage that has a content. The URL is all that either is shown: no key goes
    there, and it sends nobody further. Raises UnexpectedAnswer for a way that is none, or that would be less private
    than the one to the API.
    """
    request, location = response.request, response.headers.get("location", "")
    accept = request.headers["accept"]
    asked = accept == ANYTHING or call.delivery == "direct"
    if response.status_code != 307 or not asked or "authorization" not in request.headers or not location:
        raise body.refusal(response)
    try:
        url = request.url.join(location)
    except httpx2.InvalidURL:
        url = httpx2.URL()
    if url.scheme not in ("https", request.url.scheme) or not url.host:
        raise UnexpectedAnswer("the API sends this client to a place that is no GPU's, and no storage's")
    return _request(call, url, headers_of(accept))


def origin(request: httpx2.Request) -> str:
    """The scheme and the host of a request: what may be told of its URL, whose query can be a ticket."""
    return f"{request.url.scheme}://{request.url.netloc.decode('ascii')}"


def reply_of(*headers: Mapping[str, str], retries: int) -> Reply:
    """What came beside the answer, of all responses on the way to it."""
    merged = {name.lower(): value for some in headers for name, value in some.items()}
    return Reply(merged.get("x-request-id"), merged, retries)


class Body:
    """An answer's bytes as they come, up to LONGEST_ANSWER."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def add(self, part: bytes) -> None:
        """Add a part. Raises UnexpectedAnswer for one too many."""
        self._bytes += part
        if len(self._bytes) > LONGEST_ANSWER:
            raise UnexpectedAnswer(f"an answer of more than {LONGEST_ANSWER:,} bytes")

    def read(self) -> bytes:
        """All of them."""
        return bytes(self._bytes)

    def json(self) -> Any:
        """What it says. Raises UnexpectedAnswer."""
        try:
            return orjson.loads(self._bytes)
        except orjson.JSONDecodeError as error:
            raise UnexpectedAnswer("the answer is not JSON: this is not Penstock's API") from error

    def refusal(self, response: httpx2.Response) -> StatusError:
        """The error that it is, of a response whose status is not 200."""
        try:
            envelope = orjson.loads(self._bytes)
        except orjson.JSONDecodeError:
            envelope = None
        return status_error(response.status_code, envelope, response.headers)


class Chunks:
    """A stream's bytes as chunks."""

    def __init__(self, reply: Reply) -> None:
        self.ended = False
        self._headers = reply.headers
        self._decoder = SseDecoder()
        if not reply.headers.get("content-type", "").startswith(EVENTS):
            raise UnexpectedAnswer("the answer is not a stream of events: this is not Penstock's API")

    def feed(self, part: bytes) -> Iterator[dict[str, Any]]:
        """The chunks that `part` completes, up to the end. Raises StatusError for an error event."""
        for event in self._decoder.feed(part):
            if event.data == "[DONE]":
                self.ended = True
                return
            yield self._chunk(event.data)

    def end(self) -> None:
        """The connection has ended. Raises ConnectionFailed where the stream had not."""
        if not self.ended:
            raise ConnectionFailed("the answer broke off")

    def _chunk(self, data: str) -> dict[str, Any]:
        try:
            chunk = orjson.loads(data)
        except orjson.JSONDecodeError:
            chunk = None
        if not isinstance(chunk, dict):
            raise UnexpectedAnswer("an event is no JSON object: this is not Penstock's API")
        if "error" in chunk:
            raise stream_error(chunk, self._headers)
        return chunk


@contextmanager
def failures(request: httpx2.Request) -> Iterator[None]:
    """Whatever goes wrong with the request, or with reading its answer, as a PenstockError."""
    try:
        yield
    except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
        kind = TimedOut if isinstance(error, httpx2.TimeoutException) else ConnectionFailed
        raise kind(f"cannot reach {origin(request)}: {_said(error)}", sent=False) from error
    except httpx2.PoolTimeout as error:
        raise TimedOut(f"all {LIMITS.max_connections} connections were in use for too long", sent=False) from error
    except httpx2.TimeoutException as error:
        raise TimedOut(f"{origin(request)} said nothing for too long") from error
    except httpx2.TransportError as error:
        raise ConnectionFailed(f"the connection to {origin(request)} broke: {_said(error)}") from error
    except (httpx2.DecodingError, EventTooLong) as error:
        raise UnexpectedAnswer(f"{origin(request)}: {_said(error)}") from error


def headers_of(accept: str) -> dict[str, str]:
    """The headers of every request, to anybody."""
    return {"Accept": accept, "Accept-Encoding": "identity", "User-Agent": f"penstock/{__version__}"}


def timeout_of(timeout: Timeout | None) -> httpx2.Timeout:
    """The timeout, or the one where none is given."""
    if timeout is None:
        return DEFAULT_TIMEOUT
    return timeout if isinstance(timeout, httpx2.Timeout) else httpx2.Timeout(timeout)


def _request(call: Call, url: httpx2.URL, headers: dict[str, str]) -> httpx2.Request:
    content = call.body if call.method == "POST" else None
    if content is not None:
        headers["Content-Type"] = call.content_type
    return request_of(call.method, url, headers, content, timeout_of(call.timeout))


def _is_url(text: str) -> bool:
    try:
        url = httpx2.URL(text)
    except (httpx2.InvalidURL, TypeError):
        return False
    return url.scheme in ("http", "https") and bool(url.host) and not (url.query or url.fragment or url.userinfo)


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__
