"""The reconciler's time: what a run says that could not finish, and that one that saw nothing fails."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from functions.batch.reconciler import Reconciled, reconcile
from penstock.ledger import LedgerUnavailable

pytestmark = pytest.mark.anyio

LONG = 60.0  # seconds, which no test takes


class Dead:
    """A ledger with so many calls' worth of dead leases, two in each; then it has none, or hangs, or is away."""

    def __init__(self, calls: int, *, then: str = "none") -> None:
        self.left = calls
        self.then = then
        self.asked: list[int] = []

    async def expire(self, now: int) -> Sequence[str]:
        self.asked.append(now)
        if self.left:
            self.left -= 1
            return ["req_1", "req_2"]
        if self.then == "hangs":
            await asyncio.Event().wait()
        if self.then == "away":
            raise LedgerUnavailable("away")
        return []


async def run(ledger: Any, within_s: float) -> Reconciled:
    return await reconcile(ledger, within_s)


@pytest.mark.parametrize("calls", [0, 1, 3])
async def test_it_closes_until_none_is_due(calls: int) -> None:
    ledger = Dead(calls)
    assert await run(ledger, LONG) == Reconciled(2 * calls, finished=True)
    assert len(ledger.asked) == calls + 1
    assert len(set(ledger.asked)) == 1  # one moment: what dies meanwhile is the next run's


async def test_a_run_whose_time_is_up_says_what_it_closed() -> None:
    assert await run(Dead(2, then="hangs"), 0.2) == Reconciled(4, finished=False)


@pytest.mark.parametrize("within_s", [0.0, 0.2])
async def test_a_run_that_saw_nothing_in_its_time_fails(within_s: float) -> None:
    with pytest.raises(TimeoutError):
        await run(Dead(0, then="hangs"), within_s)


async def test_a_ledger_that_goes_away_fails_the_run_and_the_next_one_works() -> None:
    ledger = Dead(1, then="away")
    with pytest.raises(LedgerUnavailable):
        await run(ledger, LONG)
    ledger.left, ledger.then = 1, "none"
    assert await run(ledger, LONG) == Reconciled(2, finished=True)
