"""What the batch's machine asks of workers: to take a shard, and whether they still have it."""

from enum import StrEnum
from typing import Protocol

from penstock.batches.orders import Order


class WorkersUnavailable(Exception):
    """Nobody can be reached who would start a worker, or say how one does. One line that says why."""


class WorkersBroken(Exception):
    """Workers can be started, but none can ever work: their model cannot be loaded. One line that says why."""


class CallState(StrEnum):
    """What became of a call. Whether the shard is done, its mark says alone."""

    RUNNING = "running"  # or waiting for its worker
    ENDED = "ended"  # it returned
    FAILED = "failed"  # it failed, or nobody knows it any more


class Workers(Protocol):
    """Those of all models. Every method raises WorkersUnavailable and WorkersBroken."""

    async def start(self, order: Order) -> str:
        """Have a worker of the order's model take the shard; the call's name. It is started, not waited for."""

    async def state(self, model: str, call: str) -> CallState:
        """What became of a call."""

    async def cancel(self, model: str, call: str) -> None:
        """End a call, whatever it does. One that has ended stays so."""

    async def close(self) -> None:
        """Let go of connections, and of workers that end with this process."""
