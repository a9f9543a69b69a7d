"""The reconciler: closes the leases of requests that died, each at its last checkpoint.

Whatever dies (a GPU process, an edge, a Lambda), what its requests had reserved is let go of here, at the
latest one run after their leases' deadlines. It may run twice at once, and break off anywhere: each lease is
closed by one conditional write, and what one run leaves is the next one's. It closes what the ledger's
`expire` closes, and looks for nothing else: that everything adds up is for `penstock ledger verify` to say.
"""

import asyncio
from dataclasses import dataclass

from penstock.clock import now_ms
from penstock.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What one run came to: how many leases it closed, and whether none was left that is due."""

    closed: int
    finished: bool


async def reconcile(ledger: Ledger, within_s: float) -> Reconciled:
    """Close what is due, for so many seconds at most.

    Raises LedgerUnavailable, and TimeoutError where the time was too short for even one look at the ledger:
    in both cases what was closed before stays closed.
    """
    now, closed, looked = now_ms(), 0, False
    try:
        async with asyncio.timeout(within_s):
            while ids := await ledger.expire(now):
                closed, looked = closed + len(ids), True
    except TimeoutError:
        if not looked:
            raise
        return Reconciled(closed, finished=False)
    return Reconciled(closed, finished=True)
