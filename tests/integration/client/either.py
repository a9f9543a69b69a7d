"""The blocking and the asynchronous client as one, for tests of what both do."""

import asyncio
from operator import attrgetter
from pathlib import Path
from typing import Any

from penstock.client import AsyncFileContent, AsyncPenstock, AsyncStream, FileContent, Penstock, Stream


class Either:
    """One of the two clients. The blocking one is used in a thread, for the servers run in the test's own loop."""

    def __init__(self, client: Penstock | AsyncPenstock) -> None:
        self.client = client

    async def call(self, method: str, *positional: Any, **arguments: Any) -> Any:
        """What a method such as `chat.completions.create` returns."""
        bound = attrgetter(method)(self.client)
        if isinstance(self.client, Penstock):
            return await asyncio.to_thread(bound, *positional, **arguments)
        return await bound(*positional, **arguments)

    async def chunks(self, method: str, **arguments: Any) -> list[Any]:
        """All chunks of a streamed answer."""
        stream = await self.call(method, stream=True, **arguments)
        if isinstance(stream, Stream):
            return await asyncio.to_thread(list, stream)
        return [chunk async for chunk in stream]

    async def first(self, stream: Stream[Any] | AsyncStream[Any]) -> Any:
        """The next chunk of a stream."""
        return await (asyncio.to_thread(next, stream) if isinstance(stream, Stream) else anext(stream))

    async def read(self, content: FileContent | AsyncFileContent) -> bytes:
        """All of a file's content."""
        return await (asyncio.to_thread(content.read) if isinstance(content, FileContent) else content.read())

    async def write(self, content: FileContent | AsyncFileContent, path: Path) -> None:
        """All of a file's content, into another file."""
        writing = (
            asyncio.to_thread(content.stream_to, path) if isinstance(content, FileContent) else content.stream_to(path)
        )
        await writing

    async def leave(self, stream: Stream[Any] | AsyncStream[Any]) -> None:
        """Close a stream."""
        await (asyncio.to_thread(stream.close) if isinstance(stream, Stream) else stream.close())

    async def close(self) -> None:
        """Close the client."""
        await (asyncio.to_thread(self.client.close) if isinstance(self.client, Penstock) else self.client.close())
