"""One request between two threads: the caller's event loop, which reads, and the engine's, which writes.

Promises that the engine never waits for a reader, and survives one whose loop is gone. The mailbox holds at
most one event a token, so `max_tokens` bounds it.
"""

import asyncio

from functions.gpu.engine.protocol import EngineError, Event, Sampling


class Generation:
    """A request that was accepted. Make it on the event loop that will read it."""

    def __init__(self, prompt: list[int], sampling: Sampling) -> None:
        self.prompt = prompt
        self.sampling = sampling
        self._abandoned = False
        self._loop = asyncio.get_running_loop()
        self._mailbox: asyncio.Queue[Event | EngineError] = asyncio.Queue()

    async def next_event(self) -> Event:
        """Wait for the next event. Raises the EngineError that ended the generation."""
        event = await self._mailbox.get()
        if isinstance(event, EngineError):
            raise event
        return event

    def post(self, event: Event | EngineError) -> None:
        """Send the reader an event, or the error that ends it (from the engine's thread)."""
        try:
            self._loop.call_soon_threadsafe(self._mailbox.put_nowait, event)
        except RuntimeError:  # the loop is closed
            self._abandoned = True

    def abandon(self) -> None:
        """Say that nobody reads any more."""
        self._abandoned = True

    @property
    def abandoned(self) -> bool:
        """Whether nobody reads any more, or nobody can."""
        return self._abandoned or self._loop.is_closed()
