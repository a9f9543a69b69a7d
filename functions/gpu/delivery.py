"""How a generation reaches the client: as a stream kept alive while there is nothing to say, or whole."""

import asyncio
from typing import Protocol

from functions.gpu.generation import Generation
from functions.gpu.reply import Reply
from functions.gpu.work import Happening
from penstock.ledger import Usage
from penstock.schemas.completion import comment
from penstock.settings import GpuSettings


class Chunks(Protocol):
    """An answer that streams, in the shape of its route."""

    def chunks(self, event: Happening) -> bytes:
        """What is said of an event, as server-sent events; nothing where it brings nothing to say."""

    def ending(self, usage: Usage) -> bytes:
        """What ends the stream: the usage where it was asked for, and `[DONE]`."""


class Whole(Protocol):
    """An answer that comes at once, in the shape of its route."""

    def add(self, event: Happening) -> None:
        """Take an event into it."""

    def whole(self, usage: Usage) -> bytes:
        """The body, after the last event."""


async def stream(generation: Generation, answer: Chunks, reply: Reply, settings: GpuSettings) -> None:
    """Send text as it comes. Nothing is committed before the first text or `heartbeat_after_s`."""
    clock = asyncio.get_running_loop().time
    beat = clock() + settings.heartbeat_after_s
    while True:
        events = await generation.events(beat)
        part = b"".join(map(answer.chunks, events)) if events else comment("waiting for the model")
        if generation.over:
            break
        if part:
            await reply.part(part)
            beat = clock() + settings.heartbeat_every_s
    await reply.part(part + answer.ending(generation.usage))
    await reply.end()


async def whole(generation: Generation, answer: Whole, reply: Reply) -> None:
    """Send the answer when it is complete."""
    while not generation.over:
        for event in await generation.events():
            answer.add(event)
            await asyncio.sleep(0)  # many may have come at once: others have their turn between them
    await reply.json(200, answer.whole(generation.usage))
