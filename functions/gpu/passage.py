"""One request's passage through an ASGI app in its own process: no socket between who asks and who answers.

Leaving the passage is the client's disconnect, and waits until the app has ended: what it does about a client
that goes (free a slot, settle) is done by then.
"""

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from starlette.types import ASGIApp, Message, Scope

MOST_PARTS = 256  # that wait to be read; then the app waits, as it would for a slow client


class BrokeOff(Exception):
    """The app ended before its answer did."""


class Passage:
    """A POST of a body, begun on entering and over on leaving."""

    def __init__(self, app: ASGIApp, path: str, headers: Mapping[str, str], body: bytes) -> None:
        self.status = 0  # once `begun`
        self.headers: dict[str, str] = {}  # names in lower case
        self._app = app
        self._scope = _scope(path, {**headers, "content-length": str(len(body))})
        self._body: bytes | None = body
        self._gone = asyncio.Event()
        self._begun = asyncio.Event()
        self._parts: asyncio.Queue[bytes | None] = asyncio.Queue(MOST_PARTS)
        self._over = asyncio.Event()  # nothing more will come
        self._broken = False

    async def __aenter__(self) -> Self:
        self._running = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._gone.set()
        await asyncio.wait({self._running})

    async def begun(self) -> None:
        """Wait for `status` and `headers`. Raises BrokeOff."""
        await self._begun.wait()
        if not self.status:
            raise BrokeOff

    async def read(self) -> bytes | None:
        """All of the body that has come since, at least a part; None after the last. Raises BrokeOff."""
        parts: list[bytes] = []
        part = await self._parts.get()
        while part is not None:
            parts.append(part)
            if self._parts.empty():
                return b"".join(parts)
            part = self._parts.get_nowait()
        self._parts.put_nowait(None)  # it is over for whoever asks next, too
        if not parts and self._broken:
            raise BrokeOff
        return b"".join(parts) if parts else None

    async def body(self, limit: int) -> bytes:
        """The whole body, of at most `limit` bytes. Raises BrokeOff, and ValueError where it is longer."""
        whole = bytearray()
        while (part := await self.read()) is not None:
            whole += part
            if len(whole) > limit:
                raise ValueError(f"an answer of over {limit} bytes")
        return bytes(whole)

    async def rest(self, within_s: float) -> None:
        """Wait so long, or until the last part has come."""
        try:
            async with asyncio.timeout(within_s):
                await self._over.wait()
        except TimeoutError:
            pass

    async def _run(self) -> None:
        try:
            await self._app(self._scope, self._receive, self._send)
        finally:
            self._begun.set()
            if not self._over.is_set():
                self._broken = True
                self._over.set()
                if self._parts.full():  # of an answer that is no answer any more
                    self._parts.get_nowait()
                self._parts.put_nowait(None)

    async def _receive(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode().lower(): value.decode("latin-1") for name, value in message["headers"]}
            self._begun.set()
            return
        if message["body"]:
            await self._parts.put(message["body"])
        if not message.get("more_body", False):
            await self._parts.put(None)
            self._over.set()


def _scope(path: str, headers: Mapping[str, str]) -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "https",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()],
        "client": None,
        "server": None,
    }
