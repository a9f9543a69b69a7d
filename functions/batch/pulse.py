"""The pulse of long work: now and then the event loop has its turn, and whoever waits for the work hears of it."""

import asyncio
import time
from collections.abc import Awaitable, Callable

EVERY_S = 5.0  # between two heartbeats
_TURN_S = 0.05  # between two turns of the event loop

Heartbeat = Callable[[], Awaitable[None]]
"""Told that the work goes on. What it raises ends the work."""


class Pulse:
    """To be called often; most calls do nothing."""

    def __init__(self, heartbeat: Heartbeat | None) -> None:
        self._heartbeat = heartbeat
        self._turned = self._told = time.monotonic()

    async def __call__(self) -> None:
        """Raises what the heartbeat raises."""
        now = time.monotonic()
        if now - self._turned < _TURN_S:
            return
        self._turned = now
        await asyncio.sleep(0)
        if self._heartbeat is not None and now - self._told >= EVERY_S:
            self._told = now
            await self._heartbeat()
