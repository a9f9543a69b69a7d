"""A streamed answer, chunk by chunk.

Leaving a stream's `with` block, closing it, or dropping it ends the connection, and with it the generation: what
was generated until then is billed, and nothing after. Only the thread, or the task, that reads a stream may close it.
"""

from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar

from pydantic import BaseModel

from penstock.client.answers import read_part
from penstock.client.call import AsyncStreamed, Reply, Streamed

C = TypeVar("C", bound=BaseModel)


class _Begun:
    reply: Reply

    @property
    def request_id(self) -> str | None:
        """The request's id, by which the API's operator finds it."""
        return self.reply.request_id


class Stream(_Begun, Generic[C]):
    """Iterate over it for its chunks. Raises PenstockError where the answer fails, or breaks off before its end."""

    def __init__(self, streamed: Streamed, kind: type[C]) -> None:
        self.reply = streamed.reply
        self._chunks = streamed.chunks
        self._kind = kind

    def __iter__(self) -> Iterator[C]:
        return self

    def __next__(self) -> C:
        return read_part(self._kind, next(self._chunks))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the connection. Safe to call at any time, again too."""
        self._chunks.close()


class AsyncStream(_Begun, Generic[C]):
    """Iterate over it for its chunks. Raises PenstockError where the answer fails, or breaks off before its end."""

    def __init__(self, streamed: AsyncStreamed, kind: type[C]) -> None:
        self.reply = streamed.reply
        self._chunks = streamed.chunks
        self._kind = kind

    def __aiter__(self) -> AsyncIterator[C]:
        return self

    async def __anext__(self) -> C:
        return read_part(self._kind, await anext(self._chunks))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connection. Safe to call at any time, again too."""
        await self._chunks.aclose()
