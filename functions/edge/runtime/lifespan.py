"""ASGI's lifespan, once around all of the process's invocations."""

import asyncio
from typing import Any

import structlog
from starlette.types import ASGIApp, Message

STOP_WITHIN = 2.0  # seconds; Lambda itself leaves a process less

log = structlog.get_logger()


class StartFailed(Exception):
    """The app's start-up failed. What it said may hold anything, and is not repeated."""


class LambdaLifespan:
    """The app's life: started, and stopped."""

    def __init__(self, app: ASGIApp) -> None:
        self.state: dict[str, Any] = {}
        self._app = app
        self._stopping = asyncio.Event()
        self._started = asyncio.Event()
        self._asked = False
        self._failed = False
        self._life: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns once the app has started. Raises StartFailed."""
        self._life = asyncio.create_task(self._live())
        started = asyncio.create_task(self._started.wait())
        await asyncio.wait({self._life, started}, return_when=asyncio.FIRST_COMPLETED)
        if self._failed or not started.done():
            started.cancel()
            raise StartFailed("the app's start-up failed") from (self._life.exception() if self._life.done() else None)

    async def stop(self) -> None:
        """Let the app stop, within its time."""
        if self._life is None:
            return
        self._stopping.set()
        _, pending = await asyncio.wait({self._life}, timeout=STOP_WITHIN)
        if pending:
            log.error("shutdown_cut", seconds=STOP_WITHIN)
            self._life.cancel()
        elif not self._life.cancelled() and (error := self._life.exception()):
            log.error("shutdown_failed", exc_info=error)

    async def _live(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        await self._app(scope, self._receive, self._send)

    async def _receive(self) -> Message:
        if not self._asked:
            self._asked = True
            return {"type": "lifespan.startup"}
        await self._stopping.wait()
        return {"type": "lifespan.shutdown"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "lifespan.startup.failed":
            self._failed = True
        if message["type"].startswith("lifespan.startup."):
            self._started.set()
