"""The bookkeeper: writes to the ledger what must not be lost, and goes on trying while the ledger is away.

A settlement is waited for a little, so that a client which asks for its usage after its answer finds it;
then the answer goes out and the settlement goes on in the background, until it works or the process ends.

With a spool, a settlement whose first try did not work within `SETTLE_WITHIN_S` is on disk from then on. It
is not written before that: a process killed in those seconds loses what one killed a moment earlier loses,
and for that there are checkpoints; a write of each settlement would cost every request two flushes of the
disk. What an earlier process left is settled as soon as this one starts; then the ledger has often closed
the lease already, and adds the difference. One that has lain there for two months is set aside.

Without a spool what is pending is in memory only: a process that is killed, or that ends before the ledger
is back, loses it. The ledger then closes each such request at its last checkpoint, so at most one
checkpoint's interval of each goes unbilled.
"""

import asyncio
from collections.abc import Iterable

import structlog

from functions.gpu.backlog import Backlog
from functions.gpu.settlement import Settlement
from functions.gpu.spool import Spool
from functions.gpu.withdrawal import UnknownClaim, Withdrawals
from penstock.clock import MINUTE, now_ms
from penstock.ledger import Lease, Ledger, LedgerUnavailable, Settled, Usage

MAX_PENDING = 10_000  # settlements; with as many pending, no new request is taken
SETTLE_WITHIN_S = 2.0  # how long an answer waits for its settlement
WRITE_WITHIN_S = 10.0  # a later try
SPOOL_WITHIN_S = 5.0  # the last writes of a process that ends
# A store may drop the records of requests this old, and would book one that it has forgotten again.
FORGOTTEN_AFTER = 60 * 24 * 60 * MINUTE

log = structlog.get_logger()


class Bookkeeper:
    """One process's settlements."""

    def __init__(self, ledger: Ledger, spool: Spool | None = None) -> None:
        self._ledger = ledger
        self._spool = spool
        self._settling: dict[asyncio.Task[None], Settlement] = {}  # not yet in the backlog
        self._backlog = Backlog(self._try_again)
        self._withdrawals = Withdrawals(ledger, self.settle)
        self._recovering = None if spool is None else asyncio.create_task(self._recover(spool))

    @property
    def pending(self) -> int:
        """How many settlements the ledger does not have yet."""
        return len({*self._settling.values(), *self._backlog})

    @property
    def full(self) -> bool:
        """Whether so much is unsettled that nothing more should be begun."""
        return len(self._settling) + len(self._backlog) >= MAX_PENDING

    async def settle(self, lease: Lease, usage: Usage, outcome: str) -> None:
        """Book the usage: now, if the ledger answers in time, and in the background otherwise."""
        settlement = Settlement(lease, usage, outcome)
        settling = asyncio.create_task(self._settle(settlement))
        self._settling[settling] = settlement
        settling.add_done_callback(self._settling.pop)
        await asyncio.wait({settling}, timeout=SETTLE_WITHIN_S)

    async def release(self, lease: Lease) -> bool | None:
        """Give an unclaimed lease back; whether it was one. None where the ledger does not answer."""
        try:
            async with asyncio.timeout(SETTLE_WITHIN_S):
                return await self._ledger.release(lease, now_ms())
        except (LedgerUnavailable, TimeoutError):
            log.warning("release_failed", request_id=lease.id)
            return None

    def withdraw(self, claim: UnknownClaim) -> None:
        """Take back a claim that may have taken effect, in the background."""
        self._withdrawals.begin(claim)

    async def close(self, grace_s: float) -> None:
        """Settle what is pending within the grace; the rest stays in the spool, or is lost."""
        if self._recovering is not None:
            self._recovering.cancel()  # what it has not read yet is on disk
            await asyncio.wait({self._recovering})
        await self._withdrawals.close()
        self._backlog.wake()
        try:
            async with asyncio.timeout(grace_s):
                while self._settling:
                    await asyncio.wait(set(self._settling))
                await self._backlog.flushed()
        except TimeoutError:
            await self._give_up()
        if self._spool is not None:
            await self._spool.close()

    async def _settle(self, settlement: Settlement) -> None:
        """Book it, or have it in the spool and in the backlog. Ends when it is booked."""
        if await self._book(settlement, SETTLE_WITHIN_S):
            self._backlog.wake()  # where it was away, the ledger is back
            return
        taken = self._backlog.add(settlement)
        if self._spool is not None:
            await self._spool.keep(settlement)
        await taken.wait()

    async def _try_again(self, settlement: Settlement) -> bool:
        if await self._book(settlement, WRITE_WITHIN_S):
            return True
        if self._spool is not None:
            await self._spool.keep(settlement)  # where that failed before
        return False

    async def _book(self, settlement: Settlement, within_s: float) -> bool:
        """One try. Whether the settlement is done with."""
        request_id = settlement.request_id
        try:
            async with asyncio.timeout(within_s):
                settled = await self._ledger.settle(settlement.lease, settlement.usage, settlement.outcome, now_ms())
        except ValueError as error:
            # More than was set aside: an error of ours, which trying again does not mend.
            log.error("settlement_refused", **_facts(settlement), exc_info=error)
            if self._spool is not None:
                await self._spool.set_aside(settlement)
            return True
        except Exception as error:
            log.warning("settlement_delayed", request_id=request_id, error=type(error).__name__)
            return False
        if settled is not Settled.FIRST:
            log.info("settled", request_id=request_id, settled=settled.value)
        if self._spool is not None:
            await self._spool.drop(settlement)
        return True

    async def _recover(self, spool: Spool) -> None:
        """Take up what earlier processes left."""
        for name in await spool.left():
            settlement = await spool.read(name)
            if settlement is None:
                continue
            if settlement.lease.reserved_at < now_ms() - FORGOTTEN_AFTER:
                log.error("settlement_too_old", **_facts(settlement))
                await spool.set_aside(settlement)
                continue
            log.info("settlement_recovered", request_id=settlement.request_id)
            taken = self._backlog.add(settlement)
            if self.full:
                await taken.wait()

    async def _give_up(self) -> None:
        """Try no more; the last chance to have what is pending on disk."""
        for settling in (given_up := dict(self._settling)):
            settling.cancel()
        await asyncio.gather(*given_up, return_exceptions=True)
        await self._backlog.close()
        left = dict.fromkeys([*self._backlog, *given_up.values()])
        for settlement, spooled in zip(left, await self._spooled(left), strict=True):
            if spooled:
                log.warning("settlement_spooled", request_id=settlement.request_id)
            else:
                log.error("settlement_lost", **_facts(settlement))

    async def _spooled(self, settlements: Iterable[Settlement]) -> list[bool]:
        """Which of them are on disk; those that are not yet are written, within a time."""
        if self._spool is None:
            return [False for _ in settlements]
        writes = [asyncio.create_task(self._spool.keep(settlement)) for settlement in settlements]
        if writes:
            await asyncio.wait(writes, timeout=SPOOL_WITHIN_S)
        return [write.done() and write.result() for write in writes]


def _facts(settlement: Settlement) -> dict[str, str | int]:
    """What a person needs to book it by hand."""
    return {
        "request_id": settlement.request_id,
        "outcome": settlement.outcome,
        "prompt_tokens": settlement.usage.prompt_tokens,
        "cached_prompt_tokens": settlement.usage.cached_prompt_tokens,
        "completion_tokens": settlement.usage.completion_tokens,
    }
