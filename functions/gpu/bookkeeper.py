"""The bookkeeper: writes to the ledger what must not be lost, and goes on trying while the ledger is away.

A settlement is waited for a little, so that a client which asks for its usage after its answer finds it;
then the answer goes out and the settlement goes on in the background, until it works or the process ends.
What a process that ended could not settle is closed by the ledger at its last checkpoint.
"""

import asyncio
import random
from collections.abc import Iterator

import structlog

from penstock.clock import now_ms
from penstock.ledger import Lease, Ledger, LedgerUnavailable, Settled, Usage

MAX_PENDING = 10_000  # settlements; with as many pending, no new request is taken
SETTLE_WITHIN_S = 2.0  # how long an answer waits for its settlement
WRITE_WITHIN_S = 10.0  # one call of the ledger
FIRST_PAUSE_S, LAST_PAUSE_S = 0.1, 15.0

log = structlog.get_logger()


class Bookkeeper:
    """One process's settlements."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._pending: dict[asyncio.Task[None], Lease] = {}

    @property
    def full(self) -> bool:
        """Whether so much is unsettled that nothing more should be begun."""
        return len(self._pending) >= MAX_PENDING

    async def settle(self, lease: Lease, usage: Usage, outcome: str) -> None:
        """Book the usage: now, if the ledger answers in time, and in the background otherwise."""
        settling = asyncio.create_task(self._settle(lease, usage, outcome))
        self._pending[settling] = lease
        settling.add_done_callback(self._pending.pop)
        await asyncio.wait({settling}, timeout=SETTLE_WITHIN_S)

    async def release(self, lease: Lease) -> bool:
        """Give an unclaimed lease back. False where the ledger does not answer: it expires by itself."""
        try:
            async with asyncio.timeout(SETTLE_WITHIN_S):
                await self._ledger.release(lease, now_ms())
        except (LedgerUnavailable, TimeoutError):
            log.warning("release_failed", request_id=lease.id)
            return False
        return True

    async def close(self, grace_s: float) -> None:
        """Wait for what is pending, and give up on the rest."""
        if self._pending:
            await asyncio.wait(set(self._pending), timeout=grace_s)
        given_up = dict(self._pending)
        for settling, lease in given_up.items():
            log.error("settlement_lost", request_id=lease.id)
            settling.cancel()
        await asyncio.gather(*given_up, return_exceptions=True)

    async def _settle(self, lease: Lease, usage: Usage, outcome: str) -> None:
        for pause in _pauses():
            try:
                async with asyncio.timeout(WRITE_WITHIN_S):
                    settled = await self._ledger.settle(lease, usage, outcome, now_ms())
            except ValueError as error:
                # More than was set aside: an error of ours, which trying again does not mend.
                log.error("settlement_refused", request_id=lease.id, exc_info=error)
                return
            except Exception as error:
                log.warning("settlement_delayed", request_id=lease.id, error=type(error).__name__)
                await asyncio.sleep(pause)
            else:
                if settled is not Settled.FIRST:
                    log.warning("settled", request_id=lease.id, settled=settled.value)
                return


def _pauses() -> Iterator[float]:
    """Doubling pauses with jitter, so that many settlements do not come back at the same moment."""
    pause = FIRST_PAUSE_S
    while True:
        yield pause * random.uniform(0.5, 1.0)
        pause = min(2 * pause, LAST_PAUSE_S)
