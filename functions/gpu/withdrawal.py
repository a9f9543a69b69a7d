"""The withdrawal of a claim of which nobody knows whether it took effect.

Every try to claim failed, so the request was refused; but an answer may have been lost, and then the lease
is held for nobody until its deadline. For half a minute the ledger is asked, in the background: a lease that
was not claimed is given back; one that this attempt turns out to hold is settled with no usage. What cannot
be withdrawn is closed by the ledger at its deadline.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from functions.gpu.settlement import Outcome
from penstock.clock import now_ms
from penstock.ledger import Bound, Claim, Lease, Ledger, LedgerUnavailable, Usage
from penstock.ticket import CLOCK_SKEW

MAX_OPEN = 1_000  # withdrawals; what comes then is left to its deadline
TRY_WITHIN_S = 10.0
PAUSES_S = (1.0, 2.0, 4.0, 8.0, 16.0)  # before each try

log = structlog.get_logger()

Settle = Callable[[Lease, Usage, str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class UnknownClaim:
    """A claim that may have taken effect; `term` is how long (milliseconds) a claim of this fleet holds."""

    lease: Lease
    attempt: str
    bound: Bound
    term: int

    def ours_alone(self, now: int) -> bool:
        """Whether a lease that can be claimed now was never another attempt's.

        Another's claim would hold still. Later, a dead attempt may have checkpointed usage, which a
        settlement with none would wipe out.
        """
        return now < self.lease.reserved_at + self.term - CLOCK_SKEW


class Withdrawals:
    """One process's withdrawals, each in the background."""

    def __init__(self, ledger: Ledger, settle: Settle) -> None:
        self._ledger = ledger
        self._settle = settle
        self._open: set[asyncio.Task[None]] = set()

    def begin(self, claim: UnknownClaim) -> None:
        """Withdraw the claim, as soon as the ledger answers."""
        if len(self._open) >= MAX_OPEN:
            log.warning("claim_left", request_id=claim.lease.id)
            return
        task = asyncio.create_task(self._withdraw(claim))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def close(self) -> None:
        """Give up on what is open."""
        for task in (given_up := set(self._open)):
            task.cancel()
        await asyncio.gather(*given_up, return_exceptions=True)

    async def _withdraw(self, claim: UnknownClaim) -> None:
        for pause in PAUSES_S:
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            try:
                async with asyncio.timeout(TRY_WITHIN_S):
                    ours = await self._held(claim)
            except (LedgerUnavailable, TimeoutError):
                continue
            except Exception as error:
                log.error("withdrawal_failed", request_id=claim.lease.id, exc_info=error)
                return
            if ours:
                await self._settle(claim.lease, Usage(), Outcome.ERROR)
            return
        log.warning("claim_left", request_id=claim.lease.id)

    async def _held(self, claim: UnknownClaim) -> bool:
        """Whether this attempt holds the lease. An unclaimed one is given back."""
        now = now_ms()
        if await self._ledger.release(claim.lease, now) or not claim.ours_alone(now):
            return False
        again = await self._ledger.claim(claim.lease, claim.attempt, claim.bound, now, now + claim.term)
        return again is Claim.CLAIMED
