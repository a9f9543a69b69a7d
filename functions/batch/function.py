"""What the functions on AWS Lambda share: settings, an event loop and a plant that live on between invocations.

An invocation has a little less than the function's time; then its work is cancelled, lets go of what it holds, and
somebody else goes on with it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from functions.batch.dispatch import Directly, Dispatch
from functions.batch.plant import Plant
from functions.batch.queued import Queued
from functions.batch.starting import Starter
from functions.batch.workers.modal import ModalWorkers
from penstock.logs import configure_logs
from penstock.settings import BatchSettings, read_settings

# Of the function's time, for what follows: holds are let go, the log line, and the answer's way out.
MARGIN = 5.0  # seconds

T = TypeVar("T")


class Context(Protocol):
    """Of Lambda's context, what is used of it."""

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda ends the invocation."""


class Function:
    """One function; `process` names it in its logs. Raises ConfigError."""

    def __init__(self, process: str) -> None:
        self.settings = read_settings(BatchSettings)
        configure_logs(process, self.settings.log_level)
        self._runner = asyncio.Runner()
        self._plant: Plant | None = None

    def run(self, work: Callable[[Plant], Awaitable[T]], context: Context) -> T:
        """What the work comes to. Raises TimeoutError where it did not end in time, and whatever it raises."""
        return self._runner.run(self._within(work, within_s(context)))

    def close(self) -> None:
        """Let go of everything, as the end of the process does."""
        if self._plant is not None:
            self._runner.run(self._plant.close())
        self._runner.close()

    async def _within(self, work: Callable[[Plant], Awaitable[T]], seconds: float) -> T:
        async with asyncio.timeout(seconds):
            if self._plant is None:
                self._plant = await Plant.open(self.settings, ModalWorkers(self.settings), dispatch=self._dispatch)
            return await work(self._plant)

    def _dispatch(self, starter: Starter) -> Dispatch:
        return Directly(starter) if self.settings.queue_url is None else Queued(self.settings.queue_url)


def within_s(context: Context) -> float:
    """How long the invocation's work may take."""
    return max(context.get_remaining_time_in_millis() / 1_000 - MARGIN, 0.0)
