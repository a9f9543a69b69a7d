"""Requests whose way to DynamoDB is bad: what the ledger sends fails by chance, before or after its effect.

What must come out is what comes out on a good way, to the token and the nano-dollar.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial

import pytest

from penstock.ledger import Caller, Ledger, LedgerUnavailable, LimitName, Limits, Usage, open_ledger
from penstock.ledger.dynamodb import patience, table
from penstock.ledger.dynamodb.patience import Patience
from tests.contract.samples import BOUND, DEADLINE, NOW, PRICE, USAGE, enrol, lease_of
from tests.contract.work import DEAD, Fate, Work, requests_of, total
from tests.servers.faults import Fault, Faults

pytestmark = pytest.mark.anyio

# Not all 300 requests fit into these, and no two of them end for the same reason.
ACCOUNTS = (
    Limits(requests_per_minute=130, concurrent_requests=60, tokens_per_minute=50_000, monthly_tokens=10**6),
    Limits(monthly_budget=9_000_000, concurrent_requests=60),
)
KEYS = (
    Limits(monthly_budget=10**9),
    Limits(monthly_tokens=3_500, requests_per_minute=70),
    Limits(tokens_per_minute=3_000),
    Limits(concurrent_requests=30, monthly_tokens=10**6),
)


@pytest.fixture
async def shaken(
    anyio_backend: str, dynamodb_faults: Faults, dynamodb_url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Ledger]:
    """A ledger of which a fifth of the requests to DynamoDB fail. It pauses only shortly before it tries again."""
    monkeypatch.setattr(patience, "FIRST_SPAN", 0.002)
    monkeypatch.setattr(patience, "LAST_SPAN", 0.02)
    opened = await open_ledger(dynamodb_url)
    yield opened
    await opened.close()


async def enrolled(ledger: Ledger) -> list[Caller]:
    """Two accounts with two keys each, as they are looked up."""
    ids = []
    for number, limits in enumerate(ACCOUNTS):
        caller = await enrol(ledger, account=limits, key=KEYS[2 * number], name=f"account{number}")
        second = replace(caller.key, id=f"account{number}-second", limits=KEYS[2 * number + 1])
        await ledger.create_key(second)
        ids += [caller.key.id, second.id]
    found = [await ledger.caller(key_id) for key_id in ids]
    return [caller for caller in found if caller]


async def adds_up(ledger: Ledger, callers: Sequence[Caller], used: dict[str, Usage]) -> None:
    """The records, the sums and the limits hold exactly what was used, and nothing is set aside."""
    records = {record.request_id: record for record in await ledger.records()}
    assert {request_id: record.usage for request_id, record in records.items()} == used
    for caller in callers:
        of_key = [record for record in records.values() if record.key_id == caller.key.id]
        rows = await ledger.usage(key_id=caller.key.id)
        assert all(record.requests == requests_of(record.request_id) for record in of_key)
        assert sum(row.requests for row in rows) == sum(record.requests for record in of_key)
        assert total(row.usage for row in rows) == total(used[record.request_id] for record in of_key)
        assert sum(row.nano for row in rows) == sum(used[record.request_id].cost(PRICE) for record in of_key)
        assert {standing.reserved for standing in (await ledger.standings(caller, NOW)).values()} == {0}
    assert (await ledger.audit(DEAD)).findings == ()


async def within_limits(ledger: Ledger, callers: Sequence[Caller]) -> None:
    for caller in callers:
        for standing in (await ledger.standings(caller, NOW)).values():
            assert standing.spent + standing.reserved <= standing.limit


async def counted(ledger: Ledger, callers: Sequence[Caller], used: dict[str, Usage]) -> None:
    """What is counted against each limit, without the others in the way, is what was used."""
    every = Limits(10**9, 10**9, None, 10**15, 10**9)
    roomy = Limits(10**10, 10**10, None, 10**16, 10**10)
    records = await ledger.records()
    for caller in callers:
        for of_account, of_key in ((every, roomy), (roomy, every)):
            await ledger.set_account(caller.account.id, enabled=True, limits=of_account)
            await ledger.set_key(caller.key.id, limits=of_key, models=None, routes=None)
            counting = [
                one
                for one in records
                if one.account_id == caller.account.id and (of_account is every or one.key_id == caller.key.id)
            ]
            mine = [used[one.request_id] for one in counting]
            tokens = sum(usage.total_tokens for usage in mine)
            standings = await ledger.standings(caller, NOW)
            assert {name: standing.spent for name, standing in standings.items()} == {
                LimitName.REQUESTS_PER_MINUTE: sum(one.requests for one in counting),
                LimitName.TOKENS_PER_MINUTE: tokens,
                LimitName.MONTHLY_TOKENS: tokens,
                LimitName.MONTHLY_BUDGET: sum(usage.cost(PRICE) for usage in mine),
            }


async def test_every_request_is_counted_exactly_though_a_fifth_of_all_messages_fail(
    shaken: Ledger, dynamodb_faults: Faults
) -> None:
    callers = await enrolled(shaken)
    work = Work(shaken, callers)
    await work.requests(300, at_once=24)
    await work.close_the_dead()
    await work.make_sure()
    dynamodb_faults.rate = 0.0
    await within_limits(shaken, callers)
    dynamodb_faults.rate = 0.2
    await work.settle_late()
    dynamodb_faults.rate = 0.0
    await adds_up(shaken, callers, work.used)
    await counted(shaken, callers, work.used)
    # It was what it should have been.
    assert work.fates.keys() == set(Fate)
    assert work.refused > 0
    assert len(work.used) > 100
    assert len(work.owing) > 10
    assert {fault for _, fault in dynamodb_faults.done} == set(Fault)


@pytest.mark.parametrize("dynamodb_faults", [2], indirect=True)
async def test_no_call_takes_longer_than_its_deadline_and_none_is_lost_though_most_messages_fail(
    shaken: Ledger, dynamodb_faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    callers = await enrolled(shaken)
    monkeypatch.setattr(patience, "FIRST_SPAN", 0.02)
    monkeypatch.setattr(table, "Patience", partial(Patience, 0.06))
    dynamodb_faults.rate = 0.6
    work = Work(shaken, callers)
    await work.requests(24, at_once=4)
    await work.close_the_dead()
    await work.make_sure()
    await work.settle_late()
    assert work.unavailable > 0
    dynamodb_faults.rate = 0.0
    await work.close_the_dead()
    await adds_up(shaken, callers, work.used)


async def test_a_ledger_that_answers_nothing_says_so_of_each_call(
    shaken: Ledger, dynamodb_faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = (await enrolled(shaken))[0]
    lease = lease_of(caller)
    monkeypatch.setattr(table, "Patience", partial(Patience, 0.05))
    dynamodb_faults.rate = 1.0
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: shaken.caller(caller.key.id),
        lambda: shaken.reserve(caller, lease),
        lambda: shaken.claim(lease, "a", BOUND, NOW, DEADLINE),
        lambda: shaken.checkpoint(lease, "a", USAGE, DEADLINE),
        lambda: shaken.settle(lease, USAGE, "stop", NOW),
        lambda: shaken.release(lease, NOW),
        lambda: shaken.expire(NOW),
        lambda: shaken.standings(caller, NOW),
        lambda: shaken.record(lease.id),
        lambda: shaken.begin("acme", "k", "h", "a", now=NOW, expires_at=DEADLINE),
    ]
    for call in calls:
        async with asyncio.timeout(60):
            with pytest.raises(LedgerUnavailable):
                await call()
