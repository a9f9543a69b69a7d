"""A stand-in for the GPU process: verifies tickets, claims and settles in the ledger, behaves as it is told.

What it does with a request is a function of the `Call`, so that a test reads as the story of one GPU.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qs

import orjson
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from penstock.clock import now_ms
from penstock.errors import ApiError, Unauthenticated
from penstock.ledger import Claim, Ledger, Usage
from penstock.schemas import Completion, CompletionChoice, Embedding, EmbeddingList, EmbeddingUsage
from penstock.schemas.completion import (
    DONE,
    ChatCompletion,
    ChatCompletionChunk,
    Choice,
    ChoiceDelta,
    ChunkChoice,
    CompletionUsage,
    ResponseMessage,
    event,
)
from penstock.schemas.wire import Wire
from penstock.ticket import InvalidTicket, Ticket, TicketKeys, hash_body

ANSWER = "Gates open slowly; water does the rest."
WORDS = ("Gates ", "open ", "slowly; ", "water ", "does ", "the ", "rest.")
VECTOR = [0.5, -0.25]
BASE64 = "AAAAPwAAgL4="  # the same
USED = Usage(prompt_tokens=5, completion_tokens=len(WORDS))
EMBEDDED = Usage(prompt_tokens=1, completion_tokens=0)  # a text has at least one token
STARTED = {"content-type": "text/event-stream", "Penstock-Gpu": "1"}
JSON = {"content-type": "application/json", "Penstock-Gpu": "1"}


@dataclass
class Call:
    """One request that reached the stand-in with a good ticket."""

    path: str
    headers: Headers
    body: bytes
    ticket: Ticket
    ledger: Ledger
    _send: Send
    gone: asyncio.Event = field(default_factory=asyncio.Event)  # set when the caller closes the connection
    heard: asyncio.Event = field(default_factory=asyncio.Event)  # for a test to say that the answer has arrived

    @property
    def route(self) -> str:
        """The path without what the edge may have put in front of it."""
        return self.path[self.path.index("/v1/") :]

    @property
    def streams(self) -> bool:
        """Whether the caller wants a stream."""
        return bool(orjson.loads(self.body).get("stream"))

    async def claim(self) -> None:
        """Take the lease up, for a minute."""
        lease, now = self.ticket.lease, now_ms()
        claimed = await self.ledger.claim(lease, "stand-in", lease.bound, now, now + 60_000)
        assert claimed is Claim.CLAIMED

    async def settle(self) -> None:
        """Book what was used."""
        used = EMBEDDED if self.route == "/v1/embeddings" else USED
        await self.ledger.settle(self.ticket.lease, used, "stop", now_ms())

    async def begin(self, status: int, headers: dict[str, str]) -> None:
        """Send the status and the headers."""
        pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": pairs})

    async def part(self, data: bytes) -> None:
        """Send a part of the body."""
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def wait_until_heard(self) -> None:
        """Until the test has got what was sent; what is still under way when a connection breaks may be lost."""
        await asyncio.wait_for(self.heard.wait(), 20)

    async def end(self) -> None:
        """End the body. A behaviour that returns without it breaks the connection."""
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def respond(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """Send a whole response."""
        await self.begin(status, headers)
        await self.part(body)
        await self.end()

    async def refuse(self, error: ApiError) -> None:
        """Send an error as the GPU process does."""
        await self.respond(error.status, {**JSON, **error.headers}, orjson.dumps(error.envelope()))


Behaviour = Callable[[Call], Awaitable[None]]


async def answer(call: Call) -> None:
    """Answer as a good GPU process does: claim, generate, settle."""
    await call.claim()
    if call.streams:
        await call.begin(200, STARTED)
        for chunk in stream_of(call):
            await call.part(chunk)
    else:
        await call.begin(200, JSON)
        await call.part(whole(call))
    await call.settle()
    await call.end()


def whole(call: Call) -> bytes:
    """The answer of a request that does not stream."""
    return _WHOLE[call.route](call).wire()


def _chat(call: Call) -> ChatCompletion:
    message = ResponseMessage(role="assistant", content=ANSWER, refusal=None)
    return ChatCompletion(
        id=call.ticket.lease.id,
        object="chat.completion",
        created=1_700_000_000,
        model=call.ticket.lease.model,
        choices=[Choice(index=0, message=message, logprobs=None, finish_reason="stop")],
        usage=CompletionUsage.of(USED.prompt_tokens, 0, USED.completion_tokens),
    )


def _text(call: Call, text: str = ANSWER, finish_reason: Literal["stop"] | None = "stop") -> Completion:
    return Completion(
        id=f"cmpl-{call.ticket.lease.id}",
        object="text_completion",
        created=1_700_000_000,
        model=call.ticket.lease.model,
        choices=[CompletionChoice(index=0, text=text, logprobs=None, finish_reason=finish_reason)],
    )


def _embeddings(call: Call) -> EmbeddingList:
    base64 = orjson.loads(call.body).get("encoding_format") == "base64"
    return EmbeddingList(
        object="list",
        data=[Embedding(object="embedding", index=0, embedding=BASE64 if base64 else VECTOR)],
        model=call.ticket.lease.model,
        usage=EmbeddingUsage(prompt_tokens=EMBEDDED.prompt_tokens, total_tokens=EMBEDDED.total_tokens),
    )


_WHOLE: dict[str, Callable[[Call], Wire]] = {
    "/v1/chat/completions": _chat,
    "/v1/completions": _text,
    "/v1/embeddings": _embeddings,
}


def stream_of(call: Call) -> list[bytes]:
    """The events of a request that streams, with the end."""
    if call.route == "/v1/completions":
        return [*(event(_text(call, word, None).wire()) for word in WORDS), event(_text(call, "").wire()), DONE]
    return [event(chunk_of(call, word)) for word in WORDS] + [event(chunk_of(call, None)), DONE]


def chunk_of(call: Call, word: str | None) -> bytes:
    """One chunk: a word, or the end."""
    delta = ChoiceDelta() if word is None else ChoiceDelta(content=word)
    choice = ChunkChoice(index=0, delta=delta, logprobs=None, finish_reason="stop" if word is None else None)
    return ChatCompletionChunk(
        id=call.ticket.lease.id,
        object="chat.completion.chunk",
        created=1_700_000_000,
        model=call.ticket.lease.model,
        choices=[choice],
    ).wire()


class StandIn:
    """The ASGI app, behind a proxy as Modal's before a Server: what that says lacks the header `Penstock-Gpu`.

    `proxy` holds the statuses that it answers in the stand-in's place, one for each further request. It lets
    nobody in who does not send all of `asks_for`.
    """

    def __init__(self, tickets: TicketKeys, ledger: Ledger) -> None:
        self.behave: Behaviour = answer
        self.proxy: list[int] = []
        self.asks_for: dict[str, str] = {}
        self.warm = True
        self.requests = self.looked_at = 0
        self.peers: set[tuple[str, int]] = set()
        self.calls: list[Call] = []
        self.called = asyncio.Event()
        self._tickets = tickets
        self._ledger = ledger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        headers = Headers(scope=scope)
        known = all(headers.get(name) == value for name, value in self.asks_for.items())
        if scope["path"] == "/health/ready":
            self.looked_at += 1
            await _status(send, 401 if not known else 200 if self.warm else 503)
            return
        self.requests += 1
        self.peers.add(tuple(scope["client"]))
        body = await _body(receive)
        if not known:
            await _status(send, 401)
        elif self.proxy:
            await _status(send, self.proxy.pop(0))
        else:
            await self._take_up(scope, headers, body, receive, send)

    async def _take_up(self, scope: Scope, headers: Headers, body: bytes, receive: Receive, send: Send) -> None:
        text = headers.get("penstock-ticket") or parse_qs(scope["query_string"].decode()).get("ticket", [""])[0]
        try:
            ticket = self._tickets.verify(text, now=now_ms())
            if ticket.body_hash != hash_body(body):
                raise InvalidTicket("for another body")
        except InvalidTicket as error:
            refusal = Unauthenticated(f"ticket: {error}", code="invalid_ticket")
            await _status(send, 401, orjson.dumps(refusal.envelope()), b"1")
            return
        call = Call(scope["path"], headers, body, ticket, self._ledger, send)
        self.calls.append(call)
        self.called.set()
        watching = asyncio.create_task(_watch(call, receive))
        try:
            await self.behave(call)
        finally:
            watching.cancel()


async def _body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    return body


async def _watch(call: Call, receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    call.gone.set()


async def _status(send: Send, status: int, body: bytes = b"", ours: bytes | None = None) -> None:
    headers = [(b"content-length", str(len(body)).encode()), (b"content-type", b"application/json")]
    if ours is not None:
        headers.append((b"penstock-gpu", ours))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
