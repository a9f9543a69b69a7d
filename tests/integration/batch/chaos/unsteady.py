"""Stores around real ones, to whose calls something happens (see `trouble`).

Object storage is asked several times before it counts as away, as the bucket's client asks
(`penstock.objects.asking`); ledger and book are not, so that whoever uses them meets every failure.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from penstock.batches.protocol import Book
from penstock.batches.records import Batch
from penstock.ledger import Ledger, LedgerUnavailable
from penstock.objects import Object, Objects, ObjectsUnavailable, Writer
from penstock.objects.asking import PAUSES_S
from tests.integration.batch.chaos.trouble import Trouble

T = TypeVar("T")

TRIES = len(PAUSES_S) + 1


def unsteady_ledger(ledger: Ledger, trouble: Trouble) -> Ledger:
    """The ledger."""
    return cast("Ledger", _Unsteady(ledger, trouble))


def unsteady_book(book: Book, trouble: Trouble) -> Book:
    """The book."""
    return cast("Book", _Unsteady(book, trouble))


def unsteady_objects(objects: Objects, trouble: Trouble) -> Objects:
    """Object storage."""
    return _UnsteadyObjects(objects, trouble)


class _Unsteady:
    def __init__(self, store: Ledger | Book, trouble: Trouble) -> None:
        self._store = store
        self._trouble = trouble

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self._store, name)
        if name == "close":
            return cast("Callable[..., Awaitable[Any]]", method)

        async def call(*args: Any, **kwargs: Any) -> Any:
            done = await self._trouble.around(name, lambda: method(*args, **kwargs), LedgerUnavailable)
            if isinstance(done, Batch):
                self._trouble.state = done.status
            return done

        return call


class _UnsteadyObjects:
    def __init__(self, objects: Objects, trouble: Trouble) -> None:
        self._objects = objects
        self._trouble = trouble

    async def put(self, key: str, data: bytes) -> None:
        await self._tried("put", lambda: self._objects.put(key, data))

    async def put_new(self, key: str, data: bytes) -> None:
        await self._tried("put_new", lambda: self._objects.put_new(key, data))

    def writer(self, key: str) -> Writer:
        return _UnsteadyWriter(self._objects.writer(key), self._trouble)

    async def get(self, key: str) -> bytes:
        return await self._tried("get", lambda: self._objects.get(key))

    async def chunks(self, key: str, *, size: int = 8 << 20) -> AsyncGenerator[bytes]:
        async for chunk in self._objects.chunks(key, size=size):
            await self._tried("chunks", _nothing)
            yield chunk

    async def size(self, key: str) -> int | None:
        return await self._tried("size", lambda: self._objects.size(key))

    async def list(self, prefix: str) -> AsyncIterator[Object]:
        async def listed() -> list[Object]:
            return [one async for one in self._objects.list(prefix)]

        for one in await self._tried("list", listed):
            yield one

    async def delete(self, keys: Any) -> None:
        await self._tried("delete", lambda: self._objects.delete(keys))

    async def signed_put(self, key: str, *, size: int, expires_s: int) -> str | None:
        return await self._objects.signed_put(key, size=size, expires_s=expires_s)

    async def signed_get(self, key: str, *, filename: str, expires_s: int) -> str | None:
        return await self._objects.signed_get(key, filename=filename, expires_s=expires_s)

    async def close(self) -> None:
        await self._objects.close()

    async def _tried(self, name: str, call: Callable[[], Awaitable[T]]) -> T:
        for _ in range(TRIES - 1):
            try:
                return await self._trouble.around(name, call, ObjectsUnavailable)
            except ObjectsUnavailable:
                continue
        return await self._trouble.around(name, call, ObjectsUnavailable)


class _UnsteadyWriter:
    """A write of many parts, of which the last one makes the object."""

    def __init__(self, writer: Writer, trouble: Trouble) -> None:
        self._writer = writer
        self._trouble = trouble

    async def write(self, data: bytes) -> None:
        await self._writer.write(data)

    async def __aenter__(self) -> Self:
        await self._writer.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            await self._writer.__aexit__(kind, error, trace)
            return
        made = False

        async def make() -> None:
            nonlocal made
            made = True
            await self._writer.__aexit__(None, None, None)

        try:
            await self._trouble.around("writer", make, ObjectsUnavailable)
        except ObjectsUnavailable as failed:
            if not made:
                await self._writer.__aexit__(type(failed), failed, failed.__traceback__)
            raise


async def _nothing() -> None:
    """What was read is here; whether that was told may still fail."""
