"""The audit names whatever is tampered with in a ledger's file, with the numbers."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from penstock.clock import MINUTE, SECOND
from penstock.ledger import Audit, Finding
from penstock.ledger.sqlite import SqliteLedger
from tests.contract.samples import BOUND, COST, NOW, USAGE, enrol, lease_of, live

pytestmark = pytest.mark.anyio

SUBJECT = "acme acme-key demo 2026-03-10"
RUNNING = NOW + 5 * MINUTE  # until then


@pytest.fixture
async def path(anyio_backend: str, tmp_path: Path) -> AsyncIterator[Path]:
    """The file of a ledger with two requests settled and one running."""
    path = tmp_path / "ledger.db"
    ledger = await SqliteLedger.open(path)
    caller = await enrol(ledger)
    for request_id in ("req_1", "req_2"):
        lease = await live(ledger, caller, lease_of(caller, request_id))
        await ledger.settle(lease, USAGE, "stop", NOW)
    running = await live(ledger, caller, lease_of(caller, "req_3"))
    await ledger.claim(running, "a", BOUND, NOW, RUNNING)
    yield path
    await ledger.close()


async def audit(path: Path, *statements: str, now: int = NOW) -> Audit:
    """What is found after somebody wrote to the file behind the ledger's back."""
    with closing(sqlite3.connect(path)) as db, db:
        for statement in statements:
            assert db.execute(statement).rowcount > 0
    ledger = await SqliteLedger.open(path)
    found = await ledger.audit(now)
    await ledger.close()
    assert "\n" not in "".join(finding.message for finding in found.findings)
    return found


async def test_an_intact_ledger_has_no_findings(path: Path) -> None:
    assert await audit(path) == Audit(accounts=1, leases=1, records=2, rows=1, nano=2 * COST, findings=())


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE rollups SET nano = nano + 7", f"nano {2 * COST + 7} instead of {2 * COST}, by its records"),
        (
            "UPDATE rollups SET requests = 3, cached_prompt_tokens = 0",
            "requests 3 instead of 2, cached_prompt_tokens 0 instead of 20, by its records",
        ),
        (
            "DELETE FROM rollups",
            (
                "requests 0 instead of 2, prompt_tokens 0 instead of 40, cached_prompt_tokens 0 instead of 20, "
                f"completion_tokens 0 instead of 60, nano 0 instead of {2 * COST}, by its records"
            ),
        ),
    ],
)
async def test_a_sum_that_its_records_do_not_come_to(path: Path, statement: str, message: str) -> None:
    assert (await audit(path, statement)).findings == (Finding("rollup", SUBJECT, message),)


async def test_a_sum_without_records(path: Path) -> None:
    extra = "INSERT INTO rollups VALUES ('bolt', '2026-03-10', 'k', 'demo', 1, 2, 0, 3, 4)"
    (finding,) = (await audit(path, extra)).findings
    assert (finding.kind, finding.subject) == ("rollup", "bolt k demo 2026-03-10")
    assert finding.message.startswith("requests 1 instead of 0, prompt_tokens 2 instead of 0")


async def test_a_record_that_was_lost_is_missed_everywhere(path: Path) -> None:
    found = await audit(path, "DELETE FROM records WHERE request_id = 'req_1'")
    assert [(finding.kind, finding.subject) for finding in found.findings] == [
        ("rollup", SUBJECT),
        ("budget", "account:acme 2026-03"),
        ("budget", "key:acme-key 2026-03"),
        ("budget", "account:acme 2026-03-10T12:00Z"),
        ("budget", "key:acme-key 2026-03-10T12:00Z"),
    ]
    assert (found.records, found.nano) == (1, COST)


async def test_a_cost_that_is_not_that_of_its_tokens(path: Path) -> None:
    # The sums are changed with it, so that only the price can tell.
    found = await audit(
        path,
        "UPDATE records SET nano = nano - 5 WHERE request_id = 'req_2'",
        "UPDATE rollups SET nano = nano - 5",
        "UPDATE months SET nano = nano - 5",
    )
    message = f"nano {COST - 5} instead of {COST}, by its tokens at the price of 2026-01-01"
    assert found.findings == (Finding("cost", "req_2", message),)


async def test_a_record_without_its_price_is_believed(path: Path) -> None:
    found = await audit(
        path,
        "UPDATE records SET nano = nano - 5, price_prompt = NULL WHERE request_id = 'req_2'",
        "UPDATE rollups SET nano = nano - 5",
        "UPDATE months SET nano = nano - 5",
    )
    assert found.findings == ()


@pytest.mark.parametrize("scope", ["account:acme", "key:acme-key"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("UPDATE months SET nano = 1", f"nano 1 instead of {2 * COST}, by its records"),
        ("UPDATE months SET tokens = tokens + 1", "tokens 101 instead of 100, by its records"),
        ("DELETE FROM months", f"nano 0 instead of {2 * COST}, tokens 0 instead of 100, by its records"),
    ],
)
async def test_a_month_that_its_records_do_not_come_to(path: Path, scope: str, change: str, message: str) -> None:
    found = await audit(path, f"{change} WHERE scope = '{scope}'")
    assert found.findings == (Finding("budget", f"{scope} 2026-03", message),)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("UPDATE minutes SET requests = 5", "requests 5 instead of 2, by its records"),
        ("DELETE FROM minutes", "requests 0 instead of 2, tokens 0 instead of 100, by its records"),
    ],
)
async def test_a_minute_that_its_records_do_not_come_to(path: Path, change: str, message: str) -> None:
    found = await audit(path, f"{change} WHERE scope = 'key:acme-key'", now=NOW + 3 * MINUTE)
    assert found.findings == (Finding("budget", "key:acme-key 2026-03-10T12:00Z", message),)


async def test_minutes_that_limit_nothing_any_more_may_be_gone(path: Path) -> None:
    assert (await audit(path, "DELETE FROM minutes", now=NOW + 11 * MINUTE)).findings == ()


async def test_a_live_lease_that_was_settled(path: Path) -> None:
    found = await audit(path, "UPDATE leases SET id = 'req_1'")
    message = f"is live, and was settled at {NOW} for {COST} nano-dollars"
    assert found.findings == (Finding("lease", "req_1", message),)


async def test_a_lease_that_nobody_closed(path: Path) -> None:
    assert (await audit(path, now=RUNNING + 10 * MINUTE)).findings == ()
    late = Finding("lease", "req_3", "is live 601 seconds after its deadline")
    assert (await audit(path, now=RUNNING + 10 * MINUTE + SECOND)).findings == (late,)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("UPDATE leases SET account_id = 'bolt'", "is of account 'bolt', which does not exist"),
        ("UPDATE leases SET key_id = 'other-key'", "is of key 'other-key', which account 'acme' does not have"),
    ],
)
async def test_a_lease_of_nobody(path: Path, change: str, message: str) -> None:
    found = await audit(path, change)
    assert found.findings == (Finding("lease", "req_3", message),)


async def test_a_provisional_record_is_no_finding(path: Path) -> None:
    ledger = await SqliteLedger.open(path)
    await ledger.expire(RUNNING + 1)
    await ledger.close()
    found = await audit(path, now=RUNNING + 1)
    assert (found.findings, found.leases, found.records) == ((), 0, 3)
