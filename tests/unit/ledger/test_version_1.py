"""A ledger of version 1, with accounts, spending and a request under way, goes on as the newest."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from penstock.clock import MINUTE
from penstock.ledger import (
    Account,
    Bound,
    Caller,
    Idempotency,
    Key,
    Ledger,
    LimitName,
    Limits,
    Settled,
    Standing,
    StoredAnswer,
    Switch,
)
from penstock.ledger.sqlite import SqliteLedger, migrations
from tests.contract.samples import BOUND, COST, NOW, PRICE, USAGE, lease_of, live

pytestmark = pytest.mark.anyio

APRIL = NOW + 30 * 24 * 60 * MINUTE
DEADLINE = NOW + 5 * MINUTE
CALLER = Caller(
    Account("acme", "Acme", NOW, limits=Limits(monthly_budget=10**6)),
    Key("acme-key", "acme", "laptop", "0" * 64, NOW, models=frozenset({"demo"}), limits=Limits(tokens_per_minute=9)),
)
ENTRY = "'acme', 'acme-key', 'demo'"
USED = "20, 10, 30"  # as USAGE, which is 50 tokens
PRICED = f"'{PRICE.version}', {PRICE.prompt}, {PRICE.cached_prompt}, {PRICE.completion}"
BOUNDS = f"{BOUND.tokens}, {BOUND.nano}"

# Two requests in March, the second of them lost, one in April; one is running.
_ROWS = (
    f"accounts VALUES ('acme', 'Acme', {NOW}, 1, NULL, NULL, NULL, 1000000)",
    f"""keys VALUES
        ('acme-key', 'acme', 'laptop', '{"0" * 64}', {NOW}, NULL, NULL, '["demo"]', NULL, 9, NULL, NULL)""",
    f"""records VALUES
        ('one', {ENTRY}, '2026-03-10', {USED}, {COST}, '2026-01-01', 'stop', 0, {BOUNDS}, {NOW}, {NOW}),
        ('two', {ENTRY}, '2026-03-10', 0, 0, 0, 0, '2026-01-01', 'lost', 1, {BOUNDS}, {NOW}, {NOW}),
        ('three', {ENTRY}, '2026-04-09', {USED}, {COST}, '2026-01-01', 'stop', 0, {BOUNDS}, {APRIL}, {APRIL})""",
    f"""rollups VALUES
        ('acme', '2026-03-10', 'acme-key', 'demo', 2, {USED}, {COST}),
        ('acme', '2026-04-09', 'acme-key', 'demo', 1, {USED}, {COST})""",
    f"""months VALUES ('account:acme', '2026-03', {COST}), ('key:acme-key', '2026-03', {COST}),
        ('account:acme', '2026-04', {COST}), ('key:acme-key', '2026-04', {COST})""",
    f"""leases VALUES
        ('four', {ENTRY}, {BOUNDS}, {PRICED}, {APRIL}, {APRIL // MINUTE}, '2026-04', {APRIL + MINUTE}, 'a', {USED})""",
    f"""idempotency VALUES ('acme', 'answered', 'body', {DEADLINE}, 200, 'text/plain', x'6869'),
        ('acme', 'running', 'body', {DEADLINE}, NULL, NULL, NULL)""",
)


@pytest.fixture
async def ledger(anyio_backend: str, tmp_path: Path) -> AsyncIterator[Ledger]:
    path = tmp_path / "ledger.db"
    with closing(sqlite3.connect(path)) as db, db:
        for statement in migrations.MIGRATIONS[0]:
            db.execute(statement)
        for rows in _ROWS:
            db.execute(f"INSERT INTO {rows}")
        db.execute(f"PRAGMA application_id = {migrations.APPLICATION_ID}")
        db.execute("PRAGMA user_version = 1")
    opened = await SqliteLedger.open(path)
    yield opened
    await opened.close()


async def test_accounts_and_keys_have_no_more_limits_than_before(ledger: Ledger) -> None:
    assert await ledger.schema_version() == len(migrations.MIGRATIONS)
    assert await ledger.caller("acme-key") == CALLER
    assert CALLER.account.keep_answers
    assert await ledger.switch() == Switch()


async def test_the_months_know_their_tokens(ledger: Ledger) -> None:
    limits = Limits(monthly_tokens=1_000, monthly_budget=10**6)
    await ledger.set_account("acme", enabled=True, limits=limits)
    await ledger.set_key("acme-key", limits=Limits(monthly_tokens=999), models=None, routes=None)
    tokens, budget = LimitName.MONTHLY_TOKENS, LimitName.MONTHLY_BUDGET
    march, april = await ledger.standings(CALLER, NOW), await ledger.standings(CALLER, APRIL)
    assert march == {tokens: Standing(999, 50, 0), budget: Standing(10**6, COST, 0)}
    assert april == {tokens: Standing(999, 50, BOUND.tokens), budget: Standing(10**6, COST, BOUND.nano)}


async def test_a_lease_of_before_stands_for_one_request(ledger: Ledger) -> None:
    await ledger.set_key("acme-key", limits=Limits(requests_per_minute=9), models=None, routes=None)
    assert (await ledger.standings(CALLER, APRIL))[LimitName.REQUESTS_PER_MINUTE] == Standing(9, 0, 1)
    assert [record.requests for record in await ledger.records()] == [1, 1, 1]


async def test_a_request_that_was_under_way_is_settled(ledger: Ledger) -> None:
    lease = lease_of(CALLER, "four", at=APRIL)
    assert await ledger.settle(lease, USAGE, "stop", APRIL) is Settled.FIRST
    assert await ledger.settle(lease_of(CALLER, "two"), USAGE, "stop", APRIL) is Settled.LATE
    await ledger.set_key("acme-key", limits=Limits(monthly_tokens=10**6), models=None, routes=None)
    spent = [(await ledger.standings(CALLER, at))[LimitName.MONTHLY_TOKENS].spent for at in (NOW, APRIL)]
    assert spent == [100, 100]
    assert [row.nano for row in await ledger.usage()] == [2 * COST, 2 * COST]


async def test_it_adds_up_before_and_after_more_is_spent(ledger: Ledger) -> None:
    # The minutes of version 1 are not in the sample, so it is looked at when they no longer matter.
    later = APRIL + 20 * MINUTE
    await ledger.expire(later)
    assert (await ledger.audit(later)).findings == ()
    await ledger.set_key("acme-key", limits=Limits(), models=None, routes=None)
    lease = await live(ledger, CALLER, lease_of(CALLER, "five", at=later, bound=Bound(50, COST)))
    await ledger.settle(lease, USAGE, "stop", later)
    found = await ledger.audit(later)
    assert found.findings == ()
    assert (found.records, found.leases, found.nano) == (5, 0, 4 * COST)


async def test_idempotency_keys_keep_their_answers(ledger: Ledger) -> None:
    async def begin(key: str, body: str = "body", at: int = NOW) -> StoredAnswer | Idempotency:
        return await ledger.begin("acme", key, body, "a", now=at, expires_at=at + MINUTE)

    assert await begin("answered") == StoredAnswer(200, "text/plain", b"hi")
    assert await begin("running") is Idempotency.IN_FLIGHT
    assert await begin("running", "another body") is Idempotency.MISMATCH
    assert not await ledger.remember("acme", "running", "a", None, DEADLINE)
    assert await begin("running", at=DEADLINE) is Idempotency.FRESH
