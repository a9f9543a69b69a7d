"""A server that speaks OpenAI's wire format from a script, to show how a client takes each answer."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson

from penstock.schemas.completion import DONE, comment, event

Script = Sequence[str | dict[str, Any] | int]
"""An answer: texts are deltas, an envelope is an error event, a number a status for an envelope after it."""


class Scripted:
    """Answers the requests one after another, each by its script; keeps what was asked."""

    def __init__(self, *scripts: Script) -> None:
        self.scripts = list(scripts)
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.hung_up = threading.Event()  # set when a client left an answer that had no end
        self.url = ""

    def messages(self, request: int) -> list[str]:
        """The contents of a request's messages."""
        return [message["content"] for message in self.asked[request]["messages"]]


ENDLESS = "…"  # the last text of a script that goes on until the client leaves


def refusal(message: str, code: str | None = None) -> dict[str, Any]:
    """OpenAI's error envelope."""
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}


@contextmanager
def scripted(*scripts: Script) -> Iterator[Scripted]:
    """The server, for as long as the block runs."""
    state = Scripted(*scripts)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.keys.append(self.headers["Authorization"])
            self._json(200, {"object": "list", "data": [{"id": "parrot", "object": "model"}]})

        def do_POST(self) -> None:
            state.asked.append(orjson.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            script = state.scripts.pop(0)
            if isinstance(script[0], int):
                self._json(script[0], script[1])
                return
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            self._stream(script)

        def _stream(self, script: Script) -> None:
            self.wfile.write(comment("waiting"))
            for part in script:
                body = part if isinstance(part, dict) else _chunk({"content": part}, None)
                self.wfile.write(event(orjson.dumps(body)))
            if isinstance(script[-1], dict):
                return
            if script[-1] == ENDLESS:
                self.connection.recv(1)  # the client sends nothing more: this ends when it leaves
                state.hung_up.set()
                return
            usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
            self.wfile.write(event(orjson.dumps(_chunk({}, "stop"))))
            self.wfile.write(event(orjson.dumps({"choices": [], "usage": usage})) + DONE)

        def _json(self, status: int, body: Any) -> None:
            content = orjson.dumps(body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _chunk(delta: dict[str, Any], reason: str | None) -> dict[str, Any]:
    return {"id": "x", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}
