"""A tenure: one request's hold on its lease, from the accepted ticket to the closed books.

However the request ends, leaving the tenure closes it in the one right way: a lease that was never claimed
is given back and costs nothing; a claimed one is settled once; one that another attempt holds is left alone;
one of which nobody knows is withdrawn as soon as the ledger answers.
"""

import asyncio
import secrets
from types import TracebackType
from typing import Self

import structlog

from functions.gpu.bookkeeper import Bookkeeper
from functions.gpu.gate import Gate
from functions.gpu.withdrawal import UnknownClaim
from penstock.clock import SECOND, now_ms
from penstock.errors import Conflict, Unavailable
from penstock.ledger import Bound, Claim, Lease, Ledger, LedgerUnavailable, Usage
from penstock.settings import GpuSettings

CLAIM_WITHIN_S = 8.0  # all tries together
CLAIM_PAUSES_S = (0.05, 0.25)  # between tries

log = structlog.get_logger()


class Tenure:
    """The lease as this attempt holds it."""

    def __init__(self, lease: Lease, gate: Gate, ledger: Ledger, bookkeeper: Bookkeeper, settings: GpuSettings) -> None:
        self.lease = lease
        self.usage = Usage()  # so far
        self.booked: Usage | None = None  # what was settled, or is being settled
        self.outcome: str | None = None  # and as what
        self._gate = gate
        self._ledger = ledger
        self._bookkeeper = bookkeeper
        self._settings = settings
        self._attempt = secrets.token_hex(8)
        self._bound: Bound | None = None  # of the claim, once there is one
        self._claiming: asyncio.Task[Claim | None] | None = None
        self._renewing: asyncio.Task[None] | None = None
        self._due = asyncio.Event()  # a checkpoint is, before its time, because many tokens came
        self._recorded = 0  # tokens, at the last checkpoint

    @property
    def owner(self) -> str:
        """Whose turn it is in the engine: the account's."""
        return self.lease.account_id

    @property
    def silence_s(self) -> float:
        """How long the engine may take for one event, a place in its queue included."""
        return self._settings.startup_budget_s

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if await self._claimed() is not None:
            return
        released = await self._bookkeeper.release(self.lease)
        if released is None:
            self._gate.forget(self.lease.id)  # it is still open, and may be presented again
        if not released and self._bound is not None:
            term = int(self._settings.lease_s * SECOND)
            self._bookkeeper.withdraw(UnknownClaim(self.lease, self._attempt, self._bound, term))

    def begin(self, bound: Bound) -> None:
        """Claim the lease and keep it renewed, in the background."""
        self._bound = bound
        self._claiming = asyncio.create_task(self._claim(bound))
        self._renewing = asyncio.create_task(self._renew(self._claiming))

    async def claimed(self) -> None:
        """Wait until the lease is ours. Raises Conflict or Unavailable. Does nothing before `begin`."""
        if self._claiming is None:
            return
        claim = await self._claimed()
        if claim is None:
            raise Unavailable("The ledger cannot be reached.", code="ledger_unavailable")
        if claim is not Claim.CLAIMED:
            raise Conflict("The ticket was used before; it is good for one generation.", code="ticket_used")

    def used(self, usage: Usage) -> None:
        """Count what the request has used so far."""
        self.usage = usage
        if usage.total_tokens - self._recorded >= self._settings.checkpoint_tokens:
            self._due.set()

    async def settle(self, outcome: str) -> None:
        """Book `usage`, if the lease is ours. To be called once, when nothing more will be used.

        Returns when the ledger has it, or when it was waited for long enough.
        """
        claim = await self._claimed()
        if self._renewing is not None:
            self._renewing.cancel()
        if claim is Claim.CLAIMED:
            self.booked, self.outcome = self.usage, outcome
            await self._bookkeeper.settle(self.lease, self.usage, outcome)

    async def _claimed(self) -> Claim | None:
        """What became of the claim; None where it was never made, or nobody knows."""
        return None if self._claiming is None else await asyncio.shield(self._claiming)

    async def _claim(self, bound: Bound) -> Claim | None:
        try:
            async with asyncio.timeout(CLAIM_WITHIN_S):
                return await self._try_to_claim(bound)
        except (LedgerUnavailable, TimeoutError):
            log.warning("claim_failed", request_id=self.lease.id)
        except Exception as error:
            log.error("claim_failed", request_id=self.lease.id, exc_info=error)
        return None

    async def _try_to_claim(self, bound: Bound) -> Claim:
        for pause in CLAIM_PAUSES_S:
            try:
                return await self._claim_once(bound)
            except LedgerUnavailable:
                await asyncio.sleep(pause)
        return await self._claim_once(bound)

    async def _claim_once(self, bound: Bound) -> Claim:
        now = now_ms()
        return await self._ledger.claim(self.lease, self._attempt, bound, now, self._deadline(now))

    async def _renew(self, claiming: "asyncio.Task[Claim | None]") -> None:
        """Checkpoint whenever one is due, while the lease is ours. A ledger that fails stops no stream."""
        if await asyncio.shield(claiming) is not Claim.CLAIMED:
            return
        ours = True
        while ours:
            try:
                async with asyncio.timeout(self._settings.checkpoint_every_s):
                    await self._due.wait()
            except TimeoutError:
                pass
            self._due.clear()
            ours = await self._checkpoint(self.usage)
        log.warning("lease_lost", request_id=self.lease.id)

    async def _checkpoint(self, usage: Usage) -> bool:
        self._recorded = usage.total_tokens
        try:
            return await self._ledger.checkpoint(self.lease, self._attempt, usage, self._deadline(now_ms()))
        except Exception as error:
            log.warning("checkpoint_failed", request_id=self.lease.id, error=type(error).__name__)
            return True

    def _deadline(self, now: int) -> int:
        return now + int(self._settings.lease_s * SECOND)
