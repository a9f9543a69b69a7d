"""While the client is present: what a disconnect ends, and what it does not."""

import asyncio

import pytest
from starlette.types import Message

from functions.gpu.presence import ClientGone, while_present

pytestmark = pytest.mark.anyio


class Client:
    """A client's messages, as the server hands them on."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[Message] = asyncio.Queue()

    async def receive(self) -> Message:
        return await self.messages.get()

    def leave(self) -> None:
        self.messages.put_nowait({"type": "http.disconnect"})


async def test_a_disconnect_ends_what_runs() -> None:
    client = Client()
    client.messages.put_nowait({"type": "http.request", "body": b""})  # an empty end of the body is no disconnect
    client.leave()
    with pytest.raises(ClientGone):
        async with while_present(client.receive, lambda: False):
            await asyncio.Event().wait()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_what_was_answered_is_not_ended() -> None:
    client = Client()
    client.leave()
    async with while_present(client.receive, lambda: True):
        await asyncio.sleep(0.01)


async def test_what_ends_by_itself_leaves_nothing_behind() -> None:
    client = Client()
    before = asyncio.all_tasks()
    async with while_present(client.receive, lambda: False):
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    client.leave()
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


async def test_a_cancellation_by_another_stays_one() -> None:
    client = Client()

    async def serve() -> None:
        async with while_present(client.receive, lambda: False):
            await asyncio.Event().wait()

    serving = asyncio.create_task(serve())
    await asyncio.sleep(0)
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving


async def test_an_error_inside_stays_itself() -> None:
    with pytest.raises(ZeroDivisionError):
        async with while_present(Client().receive, lambda: False):
            raise ZeroDivisionError
