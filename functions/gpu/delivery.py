"""How a generation reaches the client: as a stream kept alive while there is nothing to say, or whole."""

import asyncio

from functions.gpu.answer import Answer
from functions.gpu.engine import Finished
from functions.gpu.generation import Generation
from functions.gpu.reply import Reply
from penstock.schemas.completion import comment
from penstock.settings import GpuSettings


async def stream(generation: Generation, answer: Answer, reply: Reply, settings: GpuSettings) -> None:
    """Send text as it comes. Nothing is committed before the first text or `heartbeat_after_s`."""
    clock = asyncio.get_running_loop().time
    beat = clock() + settings.heartbeat_after_s
    opening = answer.role()  # goes with the first chunk
    while True:
        event = await generation.event(beat - clock())
        if event is None:
            await reply.part(comment("waiting for the model"))
        elif isinstance(event, Finished):
            break
        elif event.text:
            await reply.part(opening + answer.text(event.text))
            opening = b""
        else:
            continue
        beat = clock() + settings.heartbeat_every_s
    await reply.part(opening + answer.ending(event.reason, generation.usage))
    await reply.end()


async def whole(generation: Generation, answer: Answer, reply: Reply) -> None:
    """Send the answer when it is complete."""
    text: list[str] = []
    while not isinstance(event := await generation.event(), Finished):
        if event is not None:
            text.append(event.text)
    await reply.json(200, answer.whole("".join(text), event.reason, generation.usage))
