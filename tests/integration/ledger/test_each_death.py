"""A death after each single write of a request's life, one after the other: what it leaves can be finished.

The reconciler does, and so does whoever makes the call once more that was cut off.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from penstock.clock import MINUTE
from penstock.ledger import Bound, Caller, Lease, Ledger, Limits, Usage
from penstock.ledger.dynamodb.keys import account_key, request_key
from penstock.ledger.dynamodb.request import owed_of
from penstock.ledger.dynamodb.table import Table
from tests.contract.samples import COST, NOW, USAGE, enrol, lease_of, live
from tests.integration.ledger.mortal import Died, Life, life, mortal

pytestmark = pytest.mark.anyio

# Near enough for a claim to give back at once.
LIMITS = Limits(
    requests_per_minute=10,
    tokens_per_minute=1_000,
    concurrent_requests=1,
    monthly_budget=10**6,
    monthly_tokens=1_000,
)
HALF = Usage(prompt_tokens=20, cached_prompt_tokens=10, completion_tokens=10)
MOST_WRITES = 16  # more than any of these lives has
LATER = NOW + 30 * MINUTE


async def closed(ledger: Ledger, now: int) -> None:
    while await ledger.expire(now):
        pass


async def settled(ledger: Ledger, caller: Caller, lease: Lease) -> None:
    lease = await live(ledger, caller, lease)
    await ledger.claim(lease, "a", Bound(60, 120_000), NOW, lease.deadline)
    await ledger.checkpoint(lease, "a", HALF, lease.deadline)
    await ledger.settle(lease, USAGE, "stop", NOW)


async def released(ledger: Ledger, caller: Caller, lease: Lease) -> None:
    lease = await live(ledger, caller, lease)
    await ledger.release(lease, NOW)


async def settled_late(ledger: Ledger, caller: Caller, lease: Lease) -> None:
    lease = await live(ledger, caller, lease)
    await ledger.claim(lease, "a", Bound(60, 120_000), NOW, lease.deadline)
    await ledger.checkpoint(lease, "a", HALF, lease.deadline)
    await closed(ledger, lease.deadline + 1)
    await ledger.settle(lease, USAGE, "stop", lease.deadline + 2)


async def settled_though_closed_unclaimed(ledger: Ledger, caller: Caller, lease: Lease) -> None:
    lease = await live(ledger, caller, lease)
    await closed(ledger, lease.deadline + 1)
    await ledger.settle(lease, USAGE, "stop", lease.deadline + 2)


Story = Callable[[Ledger, Caller, Lease], Awaitable[None]]
STORIES: tuple[Story, ...] = (settled, released, settled_late, settled_though_closed_unclaimed)


async def dies(ledger: Ledger, story: Story, caller: Caller, lease: Lease, writes: int) -> bool:
    """Whether the story is so long that it ended before its end."""
    life.set(Life(writes))
    try:
        await story(ledger, caller, lease)
    except Died:
        return True
    finally:
        life.set(None)
    return False


async def is_whole(ledger: Ledger, caller: Caller) -> None:
    """Nothing is set aside, nothing differs, and the one slot can be had."""
    await closed(ledger, LATER)
    standings = await ledger.standings(caller, LATER)
    assert not any(standing.reserved for standing in standings.values())
    audit = await ledger.audit(LATER)
    assert (audit.findings, audit.leases) == ((), 0)
    again = await live(ledger, caller, lease_of(caller, f"again-{caller.account.id}", at=LATER))
    assert await ledger.release(again, LATER)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
async def test_the_reconciler_finishes_what_a_death_leaves(ledger_url: str, story: Story) -> None:
    async with mortal(ledger_url) as ledger:
        for writes in range(1, MOST_WRITES):
            name = f"account-{writes}"
            caller = await enrol(ledger, account=LIMITS, key=LIMITS, name=name)
            died = await dies(ledger, story, caller, lease_of(caller, f"req_{name}"), writes)
            await is_whole(ledger, caller)
            if not died:
                return
    raise AssertionError("the story has no end")


@pytest.mark.parametrize(
    "story", [settled, settled_late, settled_though_closed_unclaimed], ids=lambda one: one.__name__
)
async def test_a_repeated_settlement_finishes_what_a_death_leaves(ledger_url: str, story: Story) -> None:
    async with mortal(ledger_url) as ledger:
        for writes in range(1, MOST_WRITES):
            name = f"account-{writes}"
            caller = await enrol(ledger, account=LIMITS, key=LIMITS, name=name)
            lease = lease_of(caller, f"req_{name}")
            died = await dies(ledger, story, caller, lease, writes)
            await ledger.settle(lease, USAGE, "stop", lease.deadline + 2)
            await is_whole(ledger, caller)
            (row,) = await ledger.usage(account_id=name)
            assert (row.requests, row.usage, row.nano) == (1, USAGE, COST)
            if not died:
                return
    raise AssertionError("the story has no end")


@pytest.mark.parametrize("ends", ["settle", "release"])
async def test_the_slot_of_who_died_while_giving_it_back_is_the_next_ones_at_once(ledger_url: str, ends: str) -> None:
    async with mortal(ledger_url) as ledger:
        caller = await enrol(ledger, account=LIMITS, key=LIMITS)
        lease = await live(ledger, caller, lease_of(caller))
        life.set(Life(1))
        with pytest.raises(Died):
            await (ledger.release(lease, NOW) if ends == "release" else ledger.settle(lease, USAGE, "stop", NOW))
        life.set(None)
        await live(ledger, caller, lease_of(caller, "req_2"))
        await ledger.settle(lease_of(caller, "req_2"), USAGE, "stop", NOW)
        await is_whole(ledger, caller)


async def test_the_name_of_a_late_settlement_outlives_what_it_owes(dynamodb_url: str) -> None:
    """So that one who has read that it owes something, and comes late to pay it, finds that it is paid."""
    async with mortal(dynamodb_url) as ledger:
        table = await Table.connect(dynamodb_url.removeprefix("dynamodb://"))
        caller = await enrol(ledger)
        lease = await live(ledger, caller, lease_of(caller))
        await closed(ledger, lease.deadline + 1)
        for writes in range(1, MOST_WRITES):
            life.set(Life(writes))
            with suppress(Died):
                await ledger.settle(lease, USAGE, "stop", lease.deadline + 2)
            life.set(None)
            record = await table.get(request_key(lease.id))
            if record is not None and owed_of(record) is not None:
                break
        names = []
        for _ in range(2):
            await ledger.expire(LATER)
            account = await table.get(account_key("acme"))
            assert account is not None
            names.append(list(account["late"]))
        await table.close()
        assert names == [["1"], []]
        await is_whole(ledger, caller)
