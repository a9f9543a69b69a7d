"""One ledger under several processes: nothing is lost between them, or when one is killed."""

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from penstock.ledger import Bound, Caller, Ledger, Limits, open_ledger
from tests.contract.rush import within_limits
from tests.contract.samples import BOUND, COST, DEADLINE, NOW, enrol, lease_of, reserved

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[3]
PATIENCE = 120  # seconds; only a hung process takes that long


@contextmanager
def worker(url: str, name: str, count: int, *more: str) -> Iterator[subprocess.Popen[str]]:
    """A process that is ready to open the ledger and run requests of the key `acme-key`."""
    command = [sys.executable, "-m", "tests.integration.ledger.worker", url, "acme-key", name, str(count), *more]
    process = subprocess.Popen(
        command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def run_together(url: str, names: list[str], count: int, *more: str) -> list[str]:
    """Let processes of these names run at once; what they said, all together."""
    with ExitStack() as stack:
        processes = [stack.enter_context(worker(url, name, count, *more)) for name in names]
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        said: list[str] = []
        for process in processes:
            out, errors = process.communicate(timeout=PATIENCE)
            assert (process.returncode, errors) == (0, "")
            said += out.splitlines()
        return said


async def test_two_processes_lose_no_update(ledger: Ledger, ledger_url: str) -> None:
    await enrol(ledger)
    said = run_together(ledger_url, ["one", "two"], 60)
    assert said.count("granted one-0") == 1
    assert sum(line.startswith("settled") for line in said) == 120
    (row,) = await ledger.usage()
    assert (row.requests, row.nano) == (120, 120 * COST)
    assert len(await ledger.records()) == 120


async def watched(ledger: Ledger, caller: Caller, work: Awaitable[list[str]]) -> list[str]:
    """What the processes said; meanwhile no limit was passed at any moment that somebody looked."""
    working = asyncio.ensure_future(work)
    while not working.done():
        within_limits(await ledger.standings(caller, NOW))
    return await working


async def test_processes_never_pass_the_budget_together(ledger: Ledger, ledger_url: str) -> None:
    # When nothing runs, one more reservation fits 30 times; while others run, it fits no more often.
    budget = 29 * COST + BOUND.nano
    caller = await enrol(ledger, account=Limits(monthly_budget=budget))
    names = ["one", "two", "three"]
    said = await watched(ledger, caller, asyncio.to_thread(run_together, ledger_url, names, 20))
    granted = sum(line.startswith("granted") for line in said)
    assert 0 < granted <= 30
    assert granted + sum(line.startswith("refused") for line in said) == 60
    (standing,) = (await ledger.standings(caller, NOW)).values()
    assert (standing.spent, standing.reserved) == (granted * COST, 0)
    await reserved(ledger, caller, lease_of(caller, "the rest", bound=Bound(1, standing.remaining)))


async def test_processes_share_two_slots_until_all_have_been_served(ledger: Ledger, ledger_url: str) -> None:
    caller = await enrol(ledger, account=Limits(concurrent_requests=2))
    names = ["one", "two", "three", "four"]
    said = await watched(ledger, caller, asyncio.to_thread(run_together, ledger_url, names, 10, "insist"))
    assert sum(line.startswith("settled") for line in said) == 40
    (standing,) = (await ledger.standings(caller, NOW)).values()
    assert (standing.spent, standing.reserved) == (0, 0)
    assert (await ledger.audit(NOW)).findings == ()


async def test_processes_that_open_a_new_ledger_at_once_all_get_it(ledger_url: str) -> None:
    run_together(ledger_url, ["one", "two", "three", "four"], 0)
    ledger = await open_ledger(ledger_url)
    assert list(await ledger.accounts()) == []
    await ledger.close()


async def test_what_was_acknowledged_survives_kill_9(ledger: Ledger, ledger_url: str) -> None:
    await enrol(ledger, account=Limits(concurrent_requests=10))
    with worker(ledger_url, "one", 100_000) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        said = [process.stdout.readline().split() for _ in range(60)]
        process.kill()
        said += [line.split() for line in process.stdout.read().splitlines()]
        process.wait(PATIENCE)
    settled = {request_id for verb, request_id in said if verb == "settled"}
    assert len(settled) >= 30
    records = {record.request_id for record in await ledger.records(limit=10**6)}
    assert records >= settled
    # At most one more was settled that could not be said, and at most one was cut short.
    assert len(records) <= len(settled) + 1
    (row,) = await ledger.usage()
    assert row.requests == len(records)
    assert len(await ledger.expire(DEADLINE + 1)) <= 1
    caller = await ledger.caller("acme-key")
    assert caller is not None
    (standing,) = (await ledger.standings(caller, NOW)).values()
    assert standing.reserved == 0
