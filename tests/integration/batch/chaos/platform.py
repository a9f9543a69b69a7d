"""What stands in for Modal: takes calls over a socket, and has worker processes carry them out, which may die.

A message is a line of JSON, and so is its answer. `cancel` does nothing: a call that is not wanted any more goes on
beside the one that is, as it may on Modal until its container is told; the shard's log has to keep the two apart.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson

from functions.batch.workers import CallState, Workers, WorkersUnavailable
from penstock.batches.orders import Order
from tests.integration.batch.chaos.trouble import Trouble

WITHIN_S = 30.0
MAX_MESSAGE = 1 << 16


@asynccontextmanager
async def platform(workers: Workers) -> AsyncIterator[int]:
    """Take calls for the workers; the port of 127.0.0.1."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            answered = await _answered(workers, orjson.loads(await reader.readline()))
            writer.write(orjson.dumps(answered) + b"\n")
            await writer.drain()
        except (ConnectionError, ValueError):  # who asked has died
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, limit=MAX_MESSAGE)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def _answered(workers: Workers, message: dict[str, Any]) -> str:
    if "order" in message:
        return await workers.start(Order.read(message["order"]))
    return await workers.state(message["model"], message["call"])


class CalledWorkers:
    """Workers on the platform. Asking for them may fail, as everything may."""

    def __init__(self, port: int, trouble: Trouble) -> None:
        self._port = port
        self._trouble = trouble

    async def start(self, order: Order) -> str:
        """Two calls for one shard, where the first one's answer is lost."""
        return await self._asked("start", {"order": order.written()})

    async def state(self, model: str, call: str) -> CallState:
        """What became of a call."""
        return CallState(await self._asked("state", {"model": model, "call": call}))

    async def cancel(self, model: str, call: str) -> None:
        """Come too late."""

    async def close(self) -> None:
        """Nothing: each call has a connection of its own."""

    async def _asked(self, name: str, message: dict[str, Any]) -> str:
        return await self._trouble.around(name, lambda: self._answer(message), WorkersUnavailable)

    async def _answer(self, message: dict[str, Any]) -> str:
        try:
            async with asyncio.timeout(WITHIN_S):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                writer.write(orjson.dumps(message) + b"\n")
                answer: str = orjson.loads(await reader.readline())
                writer.close()
        except (OSError, TimeoutError, ValueError) as error:
            raise WorkersUnavailable(f"the platform: {error}") from None
        return answer
