"""Settling a batch's slices once more, at its end: most were settled by their workers, some of which died before.

A slice that has ended is settled with what its log says, so that the ledger's sum is that of the results; one that has
not is given back what was set aside for it. Both may be done again and again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

from functions.batch.at_once import at_once
from penstock.batches.log import Begun, Ended
from penstock.clock import now_ms
from penstock.ledger import Ledger, LedgerUnavailable

OUTCOME = "completed"  # as the workers settle

_AT_ONCE = 16
_PAUSES_S = (0.1, 0.5, 1.0, 2.0, 5.0, 5.0, 10.0)  # before the ledger is asked again


class Settling:
    """Settles in one ledger, which may be away for some seconds. Raises LedgerUnavailable where it is for longer."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def settle(self, ended: Iterable[Ended]) -> None:
        """Book what each slice used, on the lease that it was on."""
        await at_once(_AT_ONCE, self._settle, ended)

    async def release(self, begun: Iterable[Begun]) -> None:
        """Give back what was set aside for each slice that will not end."""
        await at_once(_AT_ONCE, self._release, begun)

    async def _settle(self, slice_: Ended) -> None:
        if slice_.lease is not None:
            await _patiently(partial(self._ledger.settle, slice_.lease, slice_.usage, OUTCOME, now_ms()))

    async def _release(self, slice_: Begun) -> None:
        await _patiently(partial(self._ledger.release, slice_.lease, now_ms()))


async def _patiently(ask: Callable[[], Awaitable[object]]) -> None:
    for pause in _PAUSES_S:
        try:
            await ask()
        except LedgerUnavailable:
            await asyncio.sleep(pause)
        else:
            return
    await ask()
