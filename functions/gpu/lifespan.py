"""ASGI's lifespan, spoken by hand.

A failed start is told as `lifespan.startup.failed` without a text: uvicorn then exits with its code for it,
which is 3, and prints no traceback. (Starlette's own lifespan would send the traceback as the text.)
"""

from starlette.types import ASGIApp, Receive, Scope, Send

from functions.gpu.process import Process


class Lifespan:
    """ASGI middleware that starts and stops the process."""

    def __init__(self, app: ASGIApp, process: Process) -> None:
        self._app = app
        self._process = process

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Live through one lifespan, or pass the request on."""
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return
        await receive()
        if not await self._process.start():
            await send({"type": "lifespan.startup.failed", "message": ""})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._process.stop()
        await send({"type": "lifespan.shutdown.complete"})
