"""A small ASGI app which does to the runtime that runs it whatever apps do; the request's path says what.

It meets the test in a folder, PLACE: a file `go-1` there
lets it do its first step, and what it writes there tells what it has done.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import orjson

Messages = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Scope = MutableMapping[str, Any]

SECRET = "hush-a-value-of-a-setting"
EVENT = b'data: {"n": 1}\n\n'
BLOCK = b"." * 65_536
BLOCKS = 512  # more than fit into the buffers on the way


def _place(name: str) -> Path:
    return Path(os.environ["PLACE"]) / name


def note(name: str, text: str = "") -> None:
    """Tell the test something, all at once."""
    _place(f"{name}.tmp").write_text(text)
    _place(f"{name}.tmp").rename(_place(name))


def add(name: str, text: str = "") -> None:
    """Tell the test one more thing, on a line of its own."""
    with _place(name).open("a") as file:
        file.write(f"{text}\n")


async def go(step: int) -> None:
    """Wait until the test lets this step be done."""
    while not _place(f"go-{step}").exists():
        await asyncio.sleep(0.005)


class Request:
    """One request, and the means to answer it."""

    def __init__(self, scope: Scope, receive: Messages, send: Send) -> None:
        self.scope = scope
        self.receive = receive
        self.send = send

    async def begin(self, kind: str = "text/plain", status: int = 200, *headers: tuple[str, str]) -> None:
        """Send the status and the headers."""
        pairs = [(name.encode(), value.encode()) for name, value in [("content-type", kind), *headers]]
        await self.send({"type": "http.response.start", "status": status, "headers": pairs})

    async def part(self, data: bytes, *, more: bool = True) -> None:
        """Send a part of the body."""
        await self.send({"type": "http.response.body", "body": data, "more_body": more})

    async def answer(self, value: Any) -> None:
        """Answer with JSON."""
        await self.begin("application/json")
        await self.part(orjson.dumps(value, default=str), more=False)


async def echo(request: Request) -> None:
    """What the request is."""
    scope, message = request.scope, await request.receive()
    await request.answer(
        {
            "method": scope["method"],
            "path": scope["path"],
            "query": scope["query_string"].decode(),
            "headers": [[name.decode(), value.decode()] for name, value in scope["headers"]],
            "client": scope["client"],
            "body": message["body"].decode("latin-1"),
            "state": scope["state"],
            "trace": os.environ.get("_X_AMZN_TRACE_ID"),
            "loop": id(asyncio.get_running_loop()),
            "context": {
                name: getattr(scope["aws.context"], name)
                for name in ("aws_request_id", "invoked_function_arn", "function_name", "memory_limit_in_mb")
            },
            "left_ms": scope["aws.context"].get_remaining_time_in_millis(),
        }
    )


async def steps(request: Request) -> None:
    """Three events, each when it is let go."""
    await request.begin("text/event-stream")
    for step in (1, 2, 3):
        await go(step)
        await request.part(b"data: %d\n\n" % step)
    await request.part(b"", more=False)


async def crash(request: Request) -> None:
    """Raise before anything was sent."""
    raise RuntimeError(SECRET)


async def crash_in_events(request: Request) -> None:
    """Raise in a stream of events, after a whole one."""
    await request.begin("text/event-stream; charset=utf-8")
    await request.part(EVENT)
    raise RuntimeError(SECRET)


async def crash_in_an_event(request: Request) -> None:
    """Raise with half an event sent."""
    await request.begin("text/event-stream")
    await request.part(EVENT[:8])
    raise RuntimeError(SECRET)


async def crash_in_text(request: Request) -> None:
    """Raise in an answer that is no stream of events."""
    await request.begin()
    await request.part(b"half")
    raise RuntimeError(SECRET)


async def crash_afterwards(request: Request) -> None:
    """Raise when all was answered."""
    await request.answer("fine")
    raise RuntimeError(SECRET)


async def nothing(request: Request) -> None:
    """End without an answer."""


async def unfinished(request: Request) -> None:
    """End in the middle of an answer."""
    await request.begin("text/event-stream")
    await request.part(EVENT)


async def confused(request: Request) -> None:
    """Send a body without a beginning."""
    await request.part(b"body")


async def too_many_headers(request: Request) -> None:
    """Send more headers than can be."""
    await request.begin("text/plain", 200, ("x-long", "x" * 20_000))


async def headers(request: Request) -> None:
    """Headers of every sort."""
    sent = [("set-cookie", "a=1; Path=/"), ("set-cookie", "b=2"), ("vary", "Origin"), ("vary", "Accept")]
    sent += [("content-length", "4"), ("connection", "keep-alive, x-of-this-hop"), ("x-of-this-hop", "1")]
    await request.begin("text/plain", 201, *sent, ("transfer-encoding", "chunked"), ("x-name", "Z\u00fc"))
    await request.part(b"four", more=False)


async def without_body(request: Request) -> None:
    """The status that the path ends with, and a body that must not go out where there can be none."""
    await request.begin("text/event-stream", int(request.scope["path"].rpartition("/")[2]))
    await request.part(EVENT)
    await request.part(b"", more=False)


async def wait(request: Request) -> None:
    """Never answer."""
    await asyncio.Event().wait()


async def wait_in_events(request: Request) -> None:
    """Never go on."""
    await request.begin("text/event-stream")
    await request.part(EVENT)
    await asyncio.Event().wait()


async def answer_when_cancelled(request: Request) -> None:
    """As the edge does: a word to the client, when it is cancelled."""
    await request.begin("text/event-stream")
    await request.part(EVENT)
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        await request.part(b"data: bye\n\n")
        await request.part(b"", more=False)


async def stubborn(request: Request) -> None:
    """Go on whatever happens, until the test lets it end."""
    await request.begin("text/event-stream")
    await request.part(EVENT)
    while not _place("go-1").exists():
        try:
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            note("cancelled")


async def watch(request: Request) -> None:
    """Wait for the client to leave, and then for the cancellation."""
    await request.receive()
    await request.begin("text/event-stream")
    await request.part(EVENT)
    message = await request.receive()
    note("told", message["type"])
    try:
        await asyncio.Event().wait()
    finally:
        note("cancelled")


async def flood(request: Request) -> None:
    """32 MiB, with a note of how much was taken."""
    await request.begin("application/octet-stream")
    for number in range(BLOCKS):
        await request.part(BLOCK)
        note("taken", str(number + 1))
    await request.part(b"", more=False)


async def tiny(request: Request) -> None:
    """As little as can be."""
    await request.receive()
    await request.answer(os.getpid())


DOES = {
    does.__name__: does
    for does in (
        *(echo, steps, crash, crash_in_events, crash_in_an_event, crash_in_text, crash_afterwards, nothing),
        *(unfinished, confused, too_many_headers, headers, without_body, wait, wait_in_events),
        *(answer_when_cancelled, stubborn, watch, flood, tiny),
    )
}


async def app(scope: Scope, receive: Messages, send: Send) -> None:
    """The app: its life, or one request."""
    if scope["type"] == "lifespan":
        await _live(scope, receive, send)
        return
    name = scope["path"].strip("/").partition("/")[0]
    await DOES.get(name, echo)(Request(scope, receive, send))


async def _live(scope: Scope, receive: Messages, send: Send) -> None:
    await receive()
    match os.environ.get("LIFE"):
        case "raises":
            raise RuntimeError(SECRET)
        case "fails":
            await send({"type": "lifespan.startup.failed", "message": SECRET})
            return
        case "goes on":
            await send({"type": "lifespan.startup.complete"})
            await asyncio.Event().wait()
    add("lives", "started")
    scope["state"]["since"] = "the start"
    await send({"type": "lifespan.startup.complete"})
    await receive()
    add("lives", "stopped")
    await send({"type": "lifespan.shutdown.complete"})
