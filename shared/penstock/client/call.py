"""The client's seam: a call as a resource makes it, an answer as it comes back, and who carries them.

Resources and their answers know nothing of how a call travels. A Caller carries it: over HTTPS
(`penstock.client.http_caller`), or to Modal directly (`penstock.client.direct`). It authenticates, repeats
what may be repeated, and raises `penstock.client.errors`; what a body means is none of its business.
Only what goes to storage, or comes from there, goes past the API: under a URL that the API has signed, without a key.
"""

from collections.abc import AsyncGenerator, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import httpx2

Delivery = Literal["relay", "direct"]
Timeout = float | httpx2.Timeout  # seconds


class Content(Protocol):
    """A body that is too large to be held: it is read as it is sent, and from its beginning each time."""

    @property
    def size(self) -> int:
        """Its bytes."""

    def __iter__(self) -> Iterator[bytes]:
        """They, part by part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One logical call, however often it is sent. What is None is the caller's (or the client's) default."""

    method: Literal["GET", "POST", "DELETE"]
    path: str  # below the API's base URL: "/chat/completions"
    body: bytes | Content = b""  # of POST
    content_type: str = "application/json"  # of the body
    query: Mapping[str, str] = field(default_factory=dict)
    timeout: Timeout | None = None
    idempotency_key: str | None = None
    delivery: Delivery | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What came beside an answer's body. The names of `headers` are in lower case."""

    request_id: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    retries: int = 0  # times that the call was sent again


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer: its JSON, parsed."""

    body: Any
    reply: Reply


@dataclass(frozen=True, slots=True)
class Streamed:
    """A stream that has begun: its chunks, each the parsed JSON of one event, in OpenAI's shape.

    `chunks` ends after the stream's proper end; else it raises. The generator has been started, so that closing
    it, or losing it, runs its cleaning up: that ends the connection, and with it the generation.
    """

    chunks: Generator[dict[str, Any]]
    reply: Reply


@dataclass(frozen=True, slots=True)
class AsyncStreamed:
    """The same, asynchronous."""

    chunks: AsyncGenerator[dict[str, Any]]
    reply: Reply


@dataclass(frozen=True, slots=True)
class Downloaded:
    """Content that has begun to come: its bytes. As a stream's, `chunks` raises where it ends before its end."""

    chunks: Generator[bytes]
    reply: Reply


@dataclass(frozen=True, slots=True)
class AsyncDownloaded:
    """The same, asynchronous."""

    chunks: AsyncGenerator[bytes]
    reply: Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """Content for storage, to be put at a URL that the API has signed for it. To put it twice is to put it once."""

    url: str = field(repr=False)  # whoever has it may put
    headers: Mapping[str, str]
    content: Content
    timeout: Timeout | None = None


class Caller(Protocol):
    """Carries calls, blocking. Every method raises PenstockError and nothing else of its own."""

    def whole(self, call: Call) -> Answer:
        """The answer, once it is whole."""

    def stream(self, call: Call) -> Streamed:
        """The answer, once it has begun."""

    def download(self, call: Call) -> Downloaded:
        """The content that is asked for, once it has begun to come."""

    def upload(self, upload: Upload) -> None:
        """Put content into storage."""

    def close(self) -> None:
        """Let go of all connections."""


class AsyncCaller(Protocol):
    """The same, asynchronous."""

    async def whole(self, call: Call) -> Answer:
        """The answer, once it is whole."""

    async def stream(self, call: Call) -> AsyncStreamed:
        """The answer, once it has begun."""

    async def download(self, call: Call) -> AsyncDownloaded:
        """The content that is asked for, once it has begun to come."""

    async def upload(self, upload: Upload) -> None:
        """Put content into storage."""

    async def close(self) -> None:
        """Let go of all connections."""
