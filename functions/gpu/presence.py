"""Whether the client is still there."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.types import Receive


class ClientGone(Exception):
    """The client has closed the connection, or reads no more: there is nobody left to answer."""


@asynccontextmanager
async def while_present(receive: Receive, answered: Callable[[], bool]) -> AsyncIterator[None]:
    """End what runs inside, with ClientGone, as soon as the client disconnects. The body must be read.

    Once it is `answered` there is nothing to end: servers then report a disconnect for every request.
    """
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 (a coroutine runs in a task)
    gone = False

    async def watch() -> None:
        nonlocal gone
        while (await receive())["type"] != "http.disconnect":
            pass
        if not answered():
            gone = True
            task.cancel()

    watching = asyncio.create_task(watch())
    try:
        yield
    except asyncio.CancelledError:
        # As asyncio.timeout does it: ours to convert only where nobody else cancelled the task as well.
        if gone and task.uncancel() <= 0:
            raise ClientGone from None
        raise
    finally:
        watching.cancel()
