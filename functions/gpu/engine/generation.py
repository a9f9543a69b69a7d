"""One request between two threads: the caller's event loop, which reads, and the engine's, which writes.

Promises that the engine never waits for a reader, and survives one whose loop is gone. The mailbox holds at
most one event a token, so `max_tokens` bounds it.
"""

import asyncio
import time
from array import array
from collections.abc import Iterable
from dataclasses import dataclass

from functions.gpu.engine.protocol import EngineError, Event
from functions.gpu.engine.sequence import Sequence


@dataclass(frozen=True, slots=True)
class Embedded:
    """The embedding of one prompt: float32, of length 1."""

    prompt: int
    vector: "array[float]"


Posted = Event | Embedded | EngineError
"""What the engine sends."""


class Generation:
    """A request that was accepted. Make it on the event loop that will read it."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.sequences: list[Sequence] = []  # that have not ended
        self.dimensions: int | None = None  # of embeddings
        self.submitted_at = time.monotonic()
        self.begun = False
        self._loop = asyncio.get_running_loop()
        self._mailbox: asyncio.Queue[Posted] = asyncio.Queue()

    async def next(self) -> Event | Embedded:
        """Wait for the next event. Raises the EngineError that ended the generation."""
        event = await self._mailbox.get()
        if isinstance(event, EngineError):
            raise event
        return event

    @property
    def alive(self) -> bool:
        """Whether it goes on. In the step in which one of its sequences fails, the others may be at work still."""
        return bool(self.sequences)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """Where it is read."""
        return self._loop

    def put(self, event: Posted) -> None:
        """Take an event in (on its loop)."""
        self._mailbox.put_nowait(event)


Post = tuple[Generation, Posted]


def deliver(posts: Iterable[Post]) -> list[Generation]:
    """Send events to their readers (from the engine's thread), waking each event loop once.

    Gives the generations that nobody can read any more, because their loop is closed.
    """
    lost: list[Generation] = []
    by_loop: dict[asyncio.AbstractEventLoop, list[Post]] = {}
    for post in posts:
        by_loop.setdefault(post[0].loop, []).append(post)
    for loop, own in by_loop.items():
        try:
            loop.call_soon_threadsafe(_put, own)
        except RuntimeError:  # the loop is closed
            lost += {generation: None for generation, _ in own}
    return lost


def _put(posts: list[Post]) -> None:
    for generation, event in posts:
        generation.put(event)
