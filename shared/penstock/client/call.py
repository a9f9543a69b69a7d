"""The client's seam: a call as a resource makes it, an answer as it comes back, and who carries them.

Resources and their answers know nothing of how a call travels. A Caller carries it: over HTTPS
(`penstock.client.http_caller`), or to Modal directly (`penstock.client.direct`). It authenticates, repeats
what may be repeated, and raises `penstock.client.errors`; what a body means is none of its business.
"""

from collections.abc import AsyncGenerator, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import httpx2

Delivery = Literal["relay", "direct"]
Timeout = float | httpx2.Timeout  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One logical call, however often it is sent. What is None is the caller's (or the client's) default."""

    method: Literal["GET", "POST"]
    path: str  # below the API's base URL: "/chat/completions"
    body: bytes = b""  # a JSON object; empty for GET
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


class Caller(Protocol):
    """Carries calls, blocking. Every method raises PenstockError and nothing else of its own."""

    def whole(self, call: Call) -> Answer:
        """The answer, once it is whole."""

    def stream(self, call: Call) -> Streamed:
        """The answer, once it has begun."""

    def close(self) -> None:
        """Let go of all connections."""


class AsyncCaller(Protocol):
    """The same, asynchronous."""

    async def whole(self, call: Call) -> Answer:
        """The answer, once it is whole."""

    async def stream(self, call: Call) -> AsyncStreamed:
        """The answer, once it has begun."""

    async def close(self) -> None:
        """Let go of all connections."""
