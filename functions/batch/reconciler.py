"""The reconciler: closes the leases of requests that died, each at its last checkpoint.

Whatever dies (a GPU process, an edge, a Lambda), what its requests had reserved is let go of here, at the
latest one run after their leases' deadlines. It may run twice at once, and break off anywhere: each lease is
closed by one conditional write, and what one run leaves is the next one's. It closes what the ledger's
`expire` closes, and looks for nothing else: that everything adds up is for `penstock ledger verify` to say.
"""

import asyncio
from dataclasses import dataclass

from penstock.clock import now_ms
from penstock.ledger import Ledger, open_ledger


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What one run came to: how many leases it closed, and whether none was left that is due."""

    closed: int
    finished: bool


class Reconciler:
    """The ledger that `url` names, opened once and kept from run to run. Used from one event loop."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._ledger: Ledger | None = None

    async def run(self, within_s: float) -> Reconciled:
        """Close what is due, for so many seconds at most.

        Raises LedgerUnavailable, and TimeoutError where the time was too short for even one look at the ledger:
        in both cases what was closed before stays closed.
        """
        now, closed, looked = now_ms(), 0, False
        try:
            async with asyncio.timeout(within_s):
                ledger = await self._opened()
                while ids := await ledger.expire(now):
                    closed, looked = closed + len(ids), True
        except TimeoutError:
            if not looked:
                raise
            return Reconciled(closed, finished=False)
        return Reconciled(closed, finished=True)

    async def close(self) -> None:
        """Let go of the ledger."""
        if self._ledger is not None:
            await self._ledger.close()

    async def _opened(self) -> Ledger:
        if self._ledger is None:
            self._ledger = await open_ledger(self._url)
        return self._ledger
