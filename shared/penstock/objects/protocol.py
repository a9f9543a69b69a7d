"""What object storage can do. tests/contract holds every store to it.

- an object is there whole or not at all: whoever reads sees the old content or the new, never a part, and a writer
  that dies leaves nothing;
- a write that was acknowledged survives `kill -9`;
- of several that make the same object with `put_new`, one succeeds;
- what fails for a moment (a throttle, a lost connection, a 5xx) is tried again, a bounded number of times, before
  `ObjectsUnavailable` is raised. An answer that was lost may make a repeated `put_new` raise `Exists` though its own
  first try succeeded, unless the content is the same: then it succeeds.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self


class ObjectsUnavailable(Exception):
    """The store could not be reached, or refused us. Nothing is known of the write."""


class Missing(Exception):
    """There is no object of that key."""


class Exists(Exception):
    """There is an object of that key already, with another content."""


@dataclass(frozen=True, slots=True)
class Object:
    """An object as a listing has it."""

    key: str
    size: int  # bytes


class Writer(Protocol):
    """A new object's content, written in order; in memory there is one part of it at most.

    Leaving the context without an error makes the object, at once and whole; with one, nothing is left.
    """

    async def write(self, data: bytes) -> None:
        """Add to it."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Objects(Protocol):
    """One store. Every method raises ObjectsUnavailable, and ValueError for a key that is none."""

    async def put(self, key: str, data: bytes) -> None:
        """Make the object, or replace it."""

    async def put_new(self, key: str, data: bytes) -> None:
        """Make the object. Raises Exists."""

    def writer(self, key: str) -> Writer:
        """Make the object, or replace it, with content that comes bit by bit."""

    async def get(self, key: str) -> bytes:
        """The whole content. Raises Missing."""

    def chunks(self, key: str, *, size: int = 8 << 20) -> AsyncGenerator[bytes]:
        """The content in order, in chunks of `size` bytes at most. Raises Missing, at the first."""

    async def size(self, key: str) -> int | None:
        """The object's size in bytes; None where there is none."""

    def list(self, prefix: str) -> AsyncIterator[Object]:
        """All objects whose keys begin with `prefix`, which ends in `/`, in the order of their keys.

        What somebody else has put there under what is no key is left out.
        """

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove the objects; those that are not there are none the less removed."""

    async def signed_put(self, key: str, *, size: int, expires_s: int) -> str | None:
        """A URL at which whoever has it may PUT `size` bytes; None where this store has no such URLs."""

    async def signed_get(self, key: str, *, filename: str, expires_s: int) -> str | None:
        """A URL at which whoever has it may GET the object; None where this store has no such URLs."""

    async def close(self) -> None:
        """Let go of connections."""
