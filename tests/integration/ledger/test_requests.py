"""How many requests to DynamoDB each call of the ledger takes: it is what a request to the API costs, and waits for."""

from collections import Counter
from collections.abc import AsyncIterator

import pytest

from penstock.ledger import Bound, Caller, Claim, Idempotency, Lease, Ledger, Limits, Settled, open_ledger
from tests.contract.samples import BOUND, COST, DEADLINE, NOW, USAGE, enrol, lease_of, live, refused
from tests.servers.proxy import Proxy

pytestmark = pytest.mark.anyio

WIDE = Limits(10**6, 10**9, 10**3, 10**15, 10**12)


@pytest.fixture
async def ledger(dynamodb_proxy: Proxy, dynamodb_url: str) -> AsyncIterator[Ledger]:
    """By way of the proxy."""
    opened = await open_ledger(dynamodb_url)
    yield opened
    await opened.close()


@pytest.fixture
async def caller(ledger: Ledger) -> Caller:
    """With every limit set, and far from each; as the edge has it in its cache."""
    await enrol(ledger, account=WIDE, key=WIDE)
    known = await ledger.caller("acme-key")
    assert known is not None
    return known


@pytest.fixture
async def lease(ledger: Ledger, caller: Caller, dynamodb_proxy: Proxy) -> Lease:
    """A live one; nothing is counted yet."""
    granted = await live(ledger, caller, lease_of(caller))
    assert not granted.tight
    dynamodb_proxy.requests.clear()
    return granted


def sent(proxy: Proxy) -> Counter[str]:
    """The requests since the last time this was asked."""
    counted = Counter(proxy.requests)
    proxy.requests.clear()
    return counted


async def test_a_look_up_of_a_caller_reads_its_key_before_the_account_and_after_it(
    ledger: Ledger, caller: Caller, dynamodb_proxy: Proxy
) -> None:
    sent(dynamodb_proxy)
    assert await ledger.caller(caller.key.id) == caller
    assert sent(dynamodb_proxy) == {"GetItem": 3}


async def test_a_reservation_is_one_write(ledger: Ledger, caller: Caller, dynamodb_proxy: Proxy) -> None:
    sent(dynamodb_proxy)
    await live(ledger, caller, lease_of(caller))
    assert sent(dynamodb_proxy) == {"UpdateItem": 1}


async def test_a_reservation_by_an_outdated_caller_is_two_writes_and_a_read(
    ledger: Ledger, caller: Caller, dynamodb_proxy: Proxy
) -> None:
    await ledger.set_account("acme", enabled=True, limits=WIDE)
    sent(dynamodb_proxy)
    await live(ledger, caller, lease_of(caller))
    assert sent(dynamodb_proxy) == {"UpdateItem": 2, "GetItem": 1}


async def test_a_claim_is_one_write(ledger: Ledger, lease: Lease, dynamodb_proxy: Proxy) -> None:
    assert await ledger.claim(lease, "a", Bound(50, COST), NOW, DEADLINE) is Claim.CLAIMED
    assert sent(dynamodb_proxy) == {"UpdateItem": 1}


async def test_a_claim_near_a_limit_is_two_writes(ledger: Ledger, dynamodb_proxy: Proxy) -> None:
    caller = await enrol(ledger, account=Limits(tokens_per_minute=300))
    lease = await live(ledger, caller, lease_of(caller))
    assert lease.tight
    sent(dynamodb_proxy)
    assert await ledger.claim(lease, "a", Bound(50, COST), NOW, DEADLINE) is Claim.CLAIMED
    assert sent(dynamodb_proxy) == {"UpdateItem": 2}


async def test_a_checkpoint_is_one_write(ledger: Ledger, lease: Lease, dynamodb_proxy: Proxy) -> None:
    await ledger.claim(lease, "a", BOUND, NOW, DEADLINE)
    sent(dynamodb_proxy)
    assert await ledger.checkpoint(lease, "a", USAGE, DEADLINE + 1)
    assert sent(dynamodb_proxy) == {"UpdateItem": 1}


async def test_a_settlement_is_a_transaction_and_a_write(ledger: Ledger, lease: Lease, dynamodb_proxy: Proxy) -> None:
    await ledger.claim(lease, "a", BOUND, NOW, DEADLINE)
    sent(dynamodb_proxy)
    assert await ledger.settle(lease, USAGE, "stop", NOW) is Settled.FIRST
    assert sent(dynamodb_proxy) == {"TransactWriteItems": 1, "UpdateItem": 1}


async def test_a_release_is_two_writes(ledger: Ledger, lease: Lease, dynamodb_proxy: Proxy) -> None:
    assert await ledger.release(lease, NOW)
    assert sent(dynamodb_proxy) == {"PutItem": 1, "UpdateItem": 1}


async def test_a_request_under_an_idempotency_key_is_begun_with_one_write(
    ledger: Ledger, dynamodb_proxy: Proxy
) -> None:
    for attempt, outcome in (("a", Idempotency.FRESH), ("b", Idempotency.IN_FLIGHT)):
        sent(dynamodb_proxy)
        assert await ledger.begin("acme", "k", "body", attempt, now=NOW, expires_at=DEADLINE) is outcome
        assert sent(dynamodb_proxy) == {"PutItem": 1}


async def test_a_refusal_is_one_failed_write_and_one_look_at_the_live_leases(
    ledger: Ledger, dynamodb_proxy: Proxy
) -> None:
    await enrol(ledger, account=Limits(concurrent_requests=2))
    caller = await ledger.caller("acme-key")
    assert caller is not None
    for number in range(2):
        await live(ledger, caller, lease_of(caller, f"req_{number}"))
    sent(dynamodb_proxy)
    await refused(ledger, caller, lease_of(caller, "req_2"))
    assert sent(dynamodb_proxy) == {"UpdateItem": 1, "BatchGetItem": 1}
    # How long they live at least is known by now.
    await refused(ledger, caller, lease_of(caller, "req_3"))
    assert sent(dynamodb_proxy) == {"UpdateItem": 1}
