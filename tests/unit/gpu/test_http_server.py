"""An app over HTTP in a thread: it listens or says that it does not, and its end lets requests end, in time."""

import socket
import threading
import time
from typing import Any

import httpx2
import pytest
from starlette.types import Receive, Scope, Send

from functions.gpu.http_server import HttpServer, NotListening

PATIENCE_S = 60.0


class App:
    """Answers `said`, after it has waited; refuses to start where it is told so."""

    def __init__(self, *, starts: bool = True) -> None:
        self.starts = starts
        self.begun, self.go, self.left = threading.Event(), threading.Event(), threading.Event()
        self.lifespan: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        self.begun.set()
        try:
            await self._wait()
        finally:
            self.left.set()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"said"})

    async def _wait(self) -> None:
        import asyncio

        while not self.go.is_set():
            await asyncio.sleep(0.001)

    async def _live(self, receive: Receive, send: Send) -> None:
        self.lifespan.append((await receive())["type"])
        await send({"type": f"lifespan.startup.{'complete' if self.starts else 'failed'}"})
        self.lifespan.append((await receive())["type"])
        await send({"type": "lifespan.shutdown.complete"})


@pytest.fixture
def port() -> int:
    """A port that was free just now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def server(app: Any, port: int, grace_s: int = 30) -> HttpServer:
    return HttpServer(app, host="127.0.0.1", port=port, grace_s=grace_s)


def ask(port: int) -> httpx2.Response:
    return httpx2.get(f"http://127.0.0.1:{port}/", timeout=PATIENCE_S, trust_env=False)


def asking(port: int, answers: list[Any]) -> threading.Thread:
    def run() -> None:
        try:
            answers.append(ask(port).text)
        except httpx2.TransportError as error:
            answers.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_it_listens_once_it_is_started_and_no_more_once_it_is_stopped(port: int) -> None:
    app = App()
    app.go.set()
    one = server(app, port)
    one.start()
    answer = ask(port)
    assert (answer.text, "server" in answer.headers) == ("said", False)
    one.stop()
    one.stop()
    with pytest.raises(httpx2.ConnectError):
        ask(port)
    assert app.lifespan == ["lifespan.startup", "lifespan.shutdown"]


def test_an_app_that_refuses_to_start_is_not_listened_for(port: int) -> None:
    one = server(App(starts=False), port)
    with pytest.raises(NotListening):
        one.start()
    one.stop()


def test_a_port_that_is_taken_is_told(port: int) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        app = App()
        one = server(app, port)
        with pytest.raises(NotListening):
            one.start()
        one.stop()
    assert app.lifespan == ["lifespan.startup", "lifespan.shutdown"]


def test_a_request_that_runs_ends_before_the_server_does(port: int) -> None:
    app, answers = App(), list[Any]()
    one = server(app, port)
    one.start()
    thread = asking(port, answers)
    assert app.begun.wait(PATIENCE_S)
    threading.Timer(0.1, app.go.set).start()
    one.stop()
    thread.join(PATIENCE_S)
    assert answers == ["said"]


def test_a_request_that_takes_too_long_is_ended(port: int) -> None:
    app, answers = App(), list[Any]()
    one = server(app, port, grace_s=1)
    one.start()
    thread = asking(port, answers)
    assert app.begun.wait(PATIENCE_S)
    began = time.monotonic()
    one.stop()
    assert time.monotonic() - began < PATIENCE_S
    assert app.left.is_set()
    thread.join(PATIENCE_S)
    assert answers != ["said"]
    assert app.lifespan == ["lifespan.startup", "lifespan.shutdown"]
