"""A hub of a few lines on this machine: one repository at one commit, as huggingface_hub asks for it.

The answers are those of https://huggingface.co/docs/hub/api. It can refuse everything, fail at single files, cut
a file short once, and send other bytes than it lists.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha1, sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

REPOSITORY, COMMIT = "org/name", "0123456789abcdef0123456789abcdef01234567"
NOWHERE = "http://127.0.0.1:9"  # the discard port, where nobody listens


@dataclass
class Hub:
    """The repository; `status` refuses whatever is asked."""

    files: dict[str, bytes]
    large: set[str] = field(default_factory=set)  # kept outside of git, and listed with their SHA-256
    address: str = ""
    status: int = 200
    code: str = ""  # of the error, as the hub names it
    fails: set[str] = field(default_factory=set)  # files that are answered with an error
    cut: set[str] = field(default_factory=set)  # files whose connection breaks in the middle, once
    sends: dict[str, bytes] = field(default_factory=dict)  # in place of the file
    asked: list[str] = field(default_factory=list)

    def tree(self) -> bytes:
        """https://huggingface.co/docs/hub/api: the files of a commit."""
        return json.dumps([self._entry(path) for path in self.files]).encode()

    def etag(self, path: str) -> str:
        """What the hub names a file's content by: its SHA-256, or git's hash of it."""
        content = self.files[path]
        return sha256(content).hexdigest() if path in self.large else git_hash(content)

    def _entry(self, path: str) -> dict[str, Any]:
        content = self.files[path]
        entry = {"type": "file", "path": path, "size": len(content), "oid": git_hash(content)}
        if path in self.large:
            entry["lfs"] = {"oid": self.etag(path), "size": len(content), "pointerSize": 130}
        return entry


def git_hash(content: bytes) -> str:
    """Git's name of a blob: https://git-scm.com/book/en/v2/Git-Internals-Git-Objects."""
    return sha1(f"blob {len(content)}\0".encode() + content, usedforsecurity=False).hexdigest()


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """Serve it on a free port; `address` is where."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Answer, hub=hub))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    hub.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Answer(BaseHTTPRequestHandler):
    def __init__(self, *arguments: Any, hub: Hub) -> None:
        self.hub = hub
        super().__init__(*arguments)

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.hub.asked.append(f"{self.command} {path}")
        name = path.removeprefix(f"/{REPOSITORY}/resolve/{COMMIT}/")
        if self.hub.status != 200:
            self._send(self.hub.status, b"", {"X-Error-Code": self.hub.code, "X-Error-Message": "no\nsuch luck"})
        elif path == f"/api/models/{REPOSITORY}/tree/{COMMIT}":
            self._send(200, self.hub.tree(), {})
        elif name in self.hub.fails and self.command == "GET":
            self._send(500, b"", {})
        elif name in self.hub.files:
            self._send_file(name)
        else:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound"})

    do_HEAD = do_GET  # noqa: N815  (the name that http.server looks for)

    def _send_file(self, name: str) -> None:
        content = self.hub.sends.get(name, self.hub.files[name])
        headers = {"ETag": f'"{self.hub.etag(name)}"', "X-Repo-Commit": COMMIT}
        begin = int((self.headers["Range"] or "bytes=0-").removeprefix("bytes=").partition("-")[0])
        if begin:
            headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        cut = self.command == "GET" and name in self.hub.cut
        self.hub.cut -= {name} if cut else set()
        self._send(206 if begin else 200, content[begin:], headers, last=len(content) // 2 if cut else None)

    def _send(self, status: int, body: bytes, headers: dict[str, str], last: int | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value.replace("\n", " "))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[:last])

    def log_message(self, *_: object) -> None:
        """Say nothing."""
