"""ASGI apps under uvicorn on a free port, in the test's own event loop."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import uvicorn


@asynccontextmanager
async def serving(app: Any, lifespan: Literal["on", "off"] = "off") -> AsyncIterator[str]:
    """The app's base URL, while it is served."""
    # Named by its protocol, or asyncio would not set TCP_NODELAY, and each answer could wait for an acknowledgement.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(128)
        config = uvicorn.Config(app, log_config=None, access_log=False, lifespan=lifespan, ws="none")
        # `Server.serve` would take pytest's signals, and `Server.shutdown` waits for a tenth of a second at least.
        server = uvicorn.Server(config)
        config.load()
        server.lifespan = config.lifespan_class(config)
        await server.startup(sockets=[listening])
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            await _end(server)


async def _end(server: uvicorn.Server) -> None:
    for listener in server.servers:
        listener.close()
    state = server.server_state
    for connection in list(state.connections):
        connection.shutdown()
    async with asyncio.timeout(10):
        while state.connections or state.tasks:
            await asyncio.sleep(0.001)
    await server.lifespan.shutdown()
