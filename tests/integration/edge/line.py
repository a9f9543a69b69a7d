"""A line to a server, which a test can cut: every connection on it closes, as if the other end had done so."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit


class Line:
    """Connections that are passed on to `target`, byte by byte."""

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self._target = (parts.hostname, parts.port)
        self._ends: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self.connections = 0

    async def cut(self) -> None:
        """Close them all. There may be new ones."""
        for end in [*self._ends]:
            end.close()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one connection on."""
        self.connections += 1
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            pump = asyncio.create_task(self._pump(source, sink))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        self._ends.add(sink)
        with suppress(OSError):
            while data := await source.read(1 << 16):
                sink.write(data)
                await sink.drain()
        self._ends.discard(sink)
        sink.close()


@asynccontextmanager
async def line_to(target: str) -> AsyncIterator[tuple[Line, str]]:
    """A line, and its URL."""
    line = Line(target)
    async with await asyncio.start_server(line.take, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()[:2]
        yield line, f"http://{host}:{port}"
        await line.cut()
