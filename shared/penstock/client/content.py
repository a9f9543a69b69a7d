"""A file's content, as it comes. It is read once; leaving its `with` block, or closing it, ends the connection."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from penstock.client.call import AsyncDownloaded, Downloaded, Reply
from penstock.client.draft import draft_of


class FileContent:
    """Iterate over it for its bytes. Raises PenstockError where it breaks off before its end."""

    def __init__(self, downloaded: Downloaded) -> None:
        self.reply: Reply = downloaded.reply
        self._chunks = downloaded.chunks

    def read(self) -> bytes:
        """All of it, in memory."""
        return b"".join(self._chunks)

    def stream_to(self, path: "str | os.PathLike[str]") -> None:
        """Write it to a file, which is there whole or not at all. Raises OSError."""
        with draft_of(Path(path)) as file:
            for part in self._chunks:
                file.write(part)

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the connection. Safe to call at any time, again too."""
        self._chunks.close()


class AsyncFileContent:
    """The same, asynchronous."""

    def __init__(self, downloaded: AsyncDownloaded) -> None:
        self.reply: Reply = downloaded.reply
        self._chunks = downloaded.chunks

    async def read(self) -> bytes:
        """All of it, in memory."""
        return b"".join([part async for part in self._chunks])

    async def stream_to(self, path: "str | os.PathLike[str]") -> None:
        """Write it to a file, which is there whole or not at all. Raises OSError."""
        with draft_of(Path(path)) as file:
            async for part in self._chunks:
                await asyncio.to_thread(file.write, part)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._chunks

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connection. Safe to call at any time, again too."""
        await self._chunks.aclose()
