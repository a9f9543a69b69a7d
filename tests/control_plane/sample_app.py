"""What the control plane's own tests deploy: a class, one with parameters, ones that fail, and a server."""

import asyncio
import os
import sys
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

import modal

VERSION = os.environ.get("SAMPLE_VERSION", "1")

app = modal.App("sample")
image = (
    modal.Image.debian_slim(python_version="3.11")
    .pip_install("numpy==2.0.0")
    .env({"FROM_IMAGE": "yes", "SAMPLE_VERSION": VERSION})
    .add_local_python_source("penstock")
)
weights = modal.Volume.from_name("weights", create_if_missing=True, version=2)
secret = modal.Secret.from_name("sample-secret")


def note(name: str, text: str) -> None:
    """Leave something in the Volume."""
    Path("/weights", name).write_text(text)


def noted(name: str) -> bool:
    """Whether it is there."""
    return Path("/weights", name).exists()


@app.cls(
    image=image,
    gpu=["H100", "A100-80GB:2"],
    volumes={"/weights": weights},
    secrets=[secret],
    min_containers=int(os.environ.get("SAMPLE_MIN", "0")),
    max_containers=2,
    scaledown_window=int(os.environ.get("SAMPLE_WINDOW_S", "60")),
    timeout=120,
    startup_timeout=90,
    region="us-east",
    enable_memory_snapshot=True,
)
@modal.concurrent(max_inputs=4, target_inputs=3)
class Worker:
    """Most of what is asked of a container."""

    @modal.enter(snap=True)
    def load(self) -> None:
        """Before a snapshot."""
        self.hooks = ["load"]

    @modal.enter(snap=False)
    def wake(self) -> None:
        """After it."""
        self.hooks.append("wake")

    @modal.method()
    async def about(self) -> dict[str, object]:
        """What a container is like from within."""
        import penstock

        return {
            "hooks": self.hooks,
            "container": os.environ["MODAL_TASK_ID"],
            "variables": dict(os.environ),
            "penstock": penstock.__file__,
            "path": sys.path,
            "here": os.getcwd(),  # noqa: PTH109
            "root": sorted(os.listdir("/root")),  # noqa: PTH208
            "weights": sorted(os.listdir("/weights")),  # noqa: PTH208
            "arguments": sys.argv,
        }

    @modal.method()
    async def count(self, until: int) -> AsyncIterator[int]:
        """0, 1, ..."""
        for number in range(until):
            yield number

    @modal.method()
    async def until_cancelled(self, mark: str) -> AsyncIterator[str]:
        """Yields the id of its own call; what it leaves behind in the Volume says how it ended."""
        try:
            yield modal.current_function_call_id() or ""
            await asyncio.sleep(3_600)
        except asyncio.CancelledError:
            note(mark, "cancelled")
            raise

    @modal.method()
    async def fail(self, message: str) -> None:
        """Fails."""
        raise ValueError(message)

    @modal.method()
    async def double(self, number: int) -> int:
        """Twice it."""
        return 2 * number

    @modal.method()
    async def rest(self) -> None:
        """Runs until it is cancelled."""
        await asyncio.sleep(3_600)

    @modal.method()
    async def held(self, mark: str) -> AsyncIterator[str]:
        """Yields the container that runs it, and once more when the Volume has the mark."""
        yield os.environ["MODAL_TASK_ID"]
        while not noted(mark):
            await asyncio.sleep(0.05)
        yield mark

    @modal.method()
    async def echo(self, data: bytes) -> bytes:
        """The same."""
        return data

    @modal.method()
    async def yield_large(self, size: int) -> AsyncIterator[bytes]:
        """Two items of that many bytes."""
        yield b"a" * size
        yield b"b" * size

    @modal.method()
    async def once_killed(self, mark: str) -> AsyncIterator[str]:
        """At its first delivery it yields twice and waits to be killed; at its second, three times and ends."""
        first = not noted(mark)
        note(mark, "delivered")
        for number in range(2 if first else 3):
            yield f"{'first' if first else 'second'} {number}"
        if first:
            await asyncio.sleep(3_600)

    @modal.method()
    async def die(self) -> None:
        """Takes its container with it, each time."""
        os._exit(1)


@app.cls(image=image, max_containers=3)
class Named:
    """A class with a parameter: each value has its own containers."""

    name: str = modal.parameter(default="nobody")

    @modal.method()
    def hello(self) -> str:
        """Who it is."""
        return f"{self.name} in {os.environ['MODAL_TASK_ID']}"


@app.cls(image=image, volumes={"/weights": weights})
class Broken:
    """It starts only once the Volume says so."""

    @modal.enter()
    def load(self) -> None:
        """Fails until then."""
        if not noted("mended"):
            raise RuntimeError("no weights")

    @modal.method()
    def hello(self) -> str:
        """Says that it started."""
        return "mended"


@app.function(
    image=image.add_local_file("LICENSE", "/opt/sample/added"),
    volumes={"/read": weights.read_only(), "/kept": modal.Volume.from_name("kept", create_if_missing=True, version=2)},
    retries=2,
)
async def tries(url: str = "") -> dict[str, object]:
    """What a function without a class can do; it fails the first time."""
    if not Path("/kept/tried").exists():  # noqa: ASYNC240
        Path("/kept/tried").write_text("once")  # noqa: ASYNC240
        raise RuntimeError("the first try fails")
    try:
        Path("/read/new").write_text("")  # noqa: ASYNC240
        wrote = True
    except OSError:
        wrote = False
    return {
        "wrote": wrote,
        "tried": Path("/kept/tried").read_text(),  # noqa: ASYNC240
        "added": Path("/opt/sample/added").read_text(),  # noqa: ASYNC240
        "doubled": await Worker().double.remote.aio(4),
        "fetched": urllib.request.urlopen(url).read() if url else b"",  # noqa: S310, ASYNC210
    }


SERVE = """
import asyncio, os, sys

async def app(scope, receive, send):
    assert scope["type"] == "http"
    start = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain"),
             (b"x-container", os.environ["MODAL_TASK_ID"].encode())]}
    body = b""
    while (message := await receive())["type"] == "http.request":
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    if scope["path"] == "/headers":
        await send(start)
        await send({"type": "http.response.body", "body": repr(scope["headers"]).encode()})
    elif scope["path"] == "/echo":
        await send(start)
        await send({"type": "http.response.body", "body": scope["query_string"] + b" " + body})
    elif scope["path"] == "/stream":
        await send(start)
        await send({"type": "http.response.body", "body": os.environ["SAMPLE_VERSION"].encode(), "more_body": True})
        gone = asyncio.ensure_future(receive())
        for _ in range(1200):
            done, _ = await asyncio.wait({gone}, timeout=0.05)
            if done:
                open("/weights/left" + scope["query_string"].decode(), "w").close()
                return
            if os.path.exists("/weights/finish"):
                break
        await send({"type": "http.response.body", "body": b" end"})

import uvicorn
uvicorn.run(app, host="127.0.0.1", port=8000, log_level="warning", timeout_graceful_shutdown=60)
"""


class _Serving:
    @modal.enter()
    def start(self) -> None:
        """Start it; it may take a moment until its port accepts."""
        import subprocess

        self.server = subprocess.Popen([sys.executable, "-c", SERVE])

    @modal.exit()
    def stop(self) -> None:
        """Let it finish what it answers."""
        self.server.terminate()
        self.server.wait()


@app.server(
    image=image,
    port=8000,
    volumes={"/weights": weights},
    unauthenticated=True,
    max_concurrency=2,
    max_containers=1,
    startup_timeout=60,
    exit_grace_period=30,
    routing_region="us-east",
)
class Open(_Serving):
    """A server for everybody."""


@app.server(
    image=image,
    port=8000,
    volumes={"/weights": weights},
    target_concurrency=1,
    max_containers=2,
    startup_timeout=60,
    routing_region="us-east",
)
class Guarded(_Serving):
    """A server for those with credentials; a container for each request, up to two."""
