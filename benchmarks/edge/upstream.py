"""The stub upstream: where the GPU process would be, a server that only answers.

`python -m benchmarks.edge.upstream FD`

It is aiohttp's server on one socket. It reads the request's JSON, checks no ticket, has no engine, and writes
nothing to the ledger: what is measured is the edge. A whole answer goes out at once, or after a second where the
model is `slow`.

A stream has `max_completion_tokens` chunks of OpenAI's form, each with its time of sending as its text (ns of
the monotonic clock, which all processes of a machine share). The first goes out at once. The others follow at
a fixed interval from when as many streams are open as the request's `metadata` says, so that all streams
run at once from the second chunk to the last. Their pace is

- `even`: each stream in a phase of its own, the chunks of all streams spread over the interval, or
- `together`: all streams at the same moments, as an engine's batch has a token for each at every step.

A stream without `metadata` has a few chunks, one after the other.
"""

import argparse
import asyncio
import socket
import time
from collections.abc import AsyncIterator
from itertools import count

import orjson
from aiohttp import web

from benchmarks.child import end_with_parent
from penstock.schemas.completion import DONE, event

_MAX_BODY = 1 << 20  # bytes
_SLOW = 1.0  # seconds
_FEW = 8  # chunks
_WHOLE = orjson.dumps(
    {
        "id": "chatcmpl-stub",
        "object": "chat.completion",
        "created": 1,
        "model": "stub",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "The gate does. " * 8, "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 80, "completion_tokens": 40, "total_tokens": 120},
    }
)
_GOLDEN = 0.6180339887  # multiples of it, modulo 1, are spread evenly whatever their number
_OPEN_WITHIN = 60.0  # seconds, for all streams of a group
_numbers = count()
_groups: dict[int, asyncio.Barrier] = {}


async def _complete(request: web.Request) -> web.StreamResponse:
    call = orjson.loads(await request.read())
    if call["model"] == "slow":
        await asyncio.sleep(_SLOW)
    if not call.get("stream"):
        return web.Response(body=_WHOLE, content_type="application/json")
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await response.write(_chunk())
    wanted = call.get("metadata")
    if wanted is None:
        for _ in range(_FEW - 1):
            await response.write(_chunk())
        await response.write(DONE)
        return response
    await _all_open(int(wanted["streams"]))
    async for _ in _ticks(call["max_completion_tokens"] - 1, float(wanted["interval"]), wanted["pace"]):
        await response.write(_chunk())
    await response.write(DONE)
    return response


async def _all_open(streams: int) -> None:
    group = _groups.setdefault(streams, asyncio.Barrier(streams))
    await asyncio.wait_for(group.wait(), _OPEN_WITHIN)


async def _ticks(number: int, interval: float, pace: str) -> AsyncIterator[None]:
    clock = asyncio.get_running_loop().time
    phase = 1.0 if pace == "together" else next(_numbers) * _GOLDEN % 1
    due = (clock() // interval + 1 + phase) * interval
    for _ in range(number):
        await asyncio.sleep(due - clock())
        yield
        due += interval


def _chunk() -> bytes:
    choice = {
        "index": 0,
        "delta": {"content": str(time.monotonic_ns())},
        "logprobs": None,
        "finish_reason": None,
    }
    chunk = {
        "id": "chatcmpl-stub",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "stub",
        "choices": [choice],
    }
    return event(orjson.dumps(chunk))


async def _ready(_: web.Request) -> web.Response:
    return web.Response()


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("socket", type=int)
    listener = socket.socket(fileno=parser.parse_args().socket)
    end_with_parent()
    app = web.Application(client_max_size=_MAX_BODY)
    app.add_routes([web.post("/v1/chat/completions", _complete), web.get("/health/ready", _ready)])
    web.run_app(app, sock=listener, access_log=None, print=None, handle_signals=False)


if __name__ == "__main__":
    main()
