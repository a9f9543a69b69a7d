"""ASGI apps for the supervisor to serve: one that works, one that cannot start, one without a model."""

import asyncio
import os

import orjson
from starlette.types import ASGIApp, Receive, Scope, Send


def working() -> ASGIApp:
    """Answers with its process id; `/slow` never ends."""
    return _answer


def broken() -> ASGIApp:
    """Cannot be made."""
    raise ValueError("the stand-in is broken")


def unreadable() -> ASGIApp:
    """Says, as the GPU process does, that its model cannot be read."""
    return _fail


async def _answer(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode(), "more_body": True})
    while scope["path"] == "/slow":
        await asyncio.sleep(1)
    await send({"type": "http.response.body", "body": b""})


async def _fail(_: Scope, receive: Receive, send: Send) -> None:
    await receive()
    line = {"event": "model_unreadable", "level": "error", "error": "no weights in the folder"}
    os.write(1, orjson.dumps(line) + b"\n")
    await send({"type": "lifespan.startup.failed", "message": ""})
