"""A batch that is held: a long step is taken by one process at a time, and by the next one where that dies.

The hold stands in the batch's record and is renewed while the step runs; where it was not, it counts as dead. Whoever
lost it stops, and stores nothing: what the step comes to is stored with `finish`, which asks for the hold once more.
"""

import asyncio
import secrets
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

import structlog

from functions.batch.changes import change_batch
from penstock.batches.protocol import Book
from penstock.batches.records import Batch, Hold, Status
from penstock.clock import SECOND, now_ms
from penstock.ledger import LedgerUnavailable

HOLD_S = 60  # without a renewal
RENEW_S = 15.0
LET_GO_WITHIN_S = 3.0

T = TypeVar("T")

log = structlog.get_logger()


class HoldLost(Exception):
    """The batch is another's, or went on to another state."""


class Held:
    """A hold that was taken, of a batch in `status`."""

    def __init__(self, book: Book, batch: Batch, holder: str) -> None:
        self.batch = batch
        self._book = book
        self._holder = holder

    @classmethod
    async def take(cls, book: Book, batch: Batch) -> "Held | None":
        """The hold; None where another has it, or the batch is in another state by now."""
        holder, status = secrets.token_hex(8), batch.status

        def taken(found: Batch) -> Batch | None:
            free = found.hold is None or found.hold.until <= now_ms()
            return replace(found, hold=Hold(holder, _until())) if free and found.status is status else None

        held = await change_batch(book, batch.id, taken)
        return None if held is None else cls(book, held, holder)

    async def run(self, step: Coroutine[Any, Any, T]) -> T:
        """What the step comes to. Raises HoldLost, which ended it, and whatever it raises; then the hold is let go."""
        running = asyncio.create_task(step)
        try:
            while not (await asyncio.wait({running}, timeout=RENEW_S))[0]:
                await self._renew()
            return running.result()
        except BaseException:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await asyncio.shield(self.let_go())
            raise

    async def finish(self, change: Callable[[Batch], Batch]) -> Batch:
        """Store what the step came to, and let go. Raises HoldLost."""
        stored = await self._change(lambda batch: replace(change(batch), hold=None))
        if stored is None:
            raise HoldLost(self.batch.id)
        return stored

    async def let_go(self, *, again_in_s: float = 0.0) -> None:
        """Let the next one go on, now or after a pause. Where that cannot be told, the hold ends by itself."""
        until = now_ms() + int(again_in_s * SECOND)
        hold = Hold(self._holder, until) if again_in_s else None
        with suppress(LedgerUnavailable, TimeoutError):
            async with asyncio.timeout(LET_GO_WITHIN_S):
                await self._change(lambda batch: replace(batch, hold=hold))

    async def _renew(self) -> None:
        try:
            if await self._change(lambda batch: replace(batch, hold=Hold(self._holder, _until()))) is None:
                raise HoldLost(self.batch.id)
        except LedgerUnavailable:
            # It may be back before the hold ends; if not, `finish` finds out.
            log.warning("hold_not_renewed", batch=self.batch.id)

    async def _change(self, change: Callable[[Batch], Batch]) -> Batch | None:
        def ours(batch: Batch) -> Batch | None:
            mine = batch.hold is not None and batch.hold.holder == self._holder
            return change(batch) if mine and batch.status is self.batch.status else None

        return await change_batch(self._book, self.batch.id, ours)


def is_held(batch: Batch, now: int) -> bool:
    """Whether somebody works on it, or a pause is kept."""
    return batch.hold is not None and batch.hold.until > now


def long_step_due(batch: Batch) -> bool:
    """Whether the next thing to happen to the batch may take minutes."""
    return batch.status in (Status.VALIDATING, Status.FINALIZING)


def _until() -> int:
    return now_ms() + HOLD_S * SECOND
