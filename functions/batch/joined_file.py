"""A file of results, line by line: an object that is made whole at the end, and only where it has a line."""

from contextlib import AsyncExitStack

from penstock.objects import Objects, Writer

_PART = 1 << 20  # bytes that are written at once


class JoinedFile:
    """The object at `address`, made when `stack` is left without an error, after `end`."""

    def __init__(self, objects: Objects, address: str, stack: AsyncExitStack) -> None:
        self.size = 0  # bytes so far
        self._objects = objects
        self._address = address
        self._stack = stack
        self._writer: Writer | None = None
        self._part = bytearray()

    async def add(self, line: bytes) -> None:
        """Add a line, with its end."""
        self.size += len(line)
        self._part += line
        if len(self._part) >= _PART:
            await self.end()

    async def end(self) -> None:
        """Write what has not been written yet."""
        if not self._part:
            return
        if self._writer is None:
            self._writer = await self._stack.enter_async_context(self._objects.writer(self._address))
        await self._writer.write(bytes(self._part))
        self._part.clear()
