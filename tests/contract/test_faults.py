"""Requests whose way to DynamoDB is bad: a fifth of what the ledger sends fails, before or after its effect.

What must come out is what comes out on a good way: each request is booked once, nothing stays set aside, and
the audit finds nothing. Where the ledger gives up, the caller does what the services do: it calls again.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import pytest

from penstock.ledger import Claim, Ledger, LedgerUnavailable, Limits, Reserved, Settled, open_ledger
from tests.contract.samples import BOUND, COST, DEADLINE, NOW, USAGE, enrol, lease_of
from tests.servers.faults import Faults

pytestmark = pytest.mark.anyio

T = TypeVar("T")

REQUESTS = 60
ROOMY = Limits(
    requests_per_minute=REQUESTS,
    tokens_per_minute=REQUESTS * BOUND.tokens,
    concurrent_requests=REQUESTS,
    monthly_budget=REQUESTS * BOUND.nano,
    monthly_tokens=REQUESTS * BOUND.tokens,
)


@pytest.fixture
async def shaken(anyio_backend: str, dynamodb_faults: Faults, dynamodb_url: str) -> AsyncIterator[Ledger]:
    """A ledger of which a fifth of the requests to DynamoDB fail."""
    opened = await open_ledger(dynamodb_url)
    yield opened
    await opened.close()


async def stubborn(call: Callable[[], Awaitable[T]]) -> T:
    """Call until the ledger answers."""
    while True:
        try:
            return await call()
        except LedgerUnavailable:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("dynamodb_faults", [1, 2, 3], indirect=True)
async def test_every_request_is_booked_once(shaken: Ledger, dynamodb_faults: Faults) -> None:
    dynamodb_faults.rate = 0.0
    caller = await enrol(shaken, account=ROOMY, key=ROOMY)
    dynamodb_faults.rate = 0.2

    async def request(number: int) -> None:
        lease = lease_of(caller, f"req_{number}")
        outcome = await stubborn(lambda: shaken.reserve(caller, lease))
        assert isinstance(outcome, Reserved), outcome
        assert await stubborn(lambda: shaken.claim(outcome.lease, "a", BOUND, NOW, DEADLINE)) is Claim.CLAIMED
        assert await stubborn(lambda: shaken.checkpoint(outcome.lease, "a", USAGE, DEADLINE))
        # The first settlement's answer may be lost, and the repeated one's arrive.
        settled = await stubborn(lambda: shaken.settle(outcome.lease, USAGE, "stop", NOW))
        assert settled in (Settled.FIRST, Settled.REPEATED)

    await asyncio.gather(*(request(number) for number in range(REQUESTS)))
    assert dynamodb_faults.done.total() > REQUESTS / 3
    dynamodb_faults.rate = 0.0
    assert [(row.requests, row.nano) for row in await shaken.usage()] == [(REQUESTS, REQUESTS * COST)]
    assert {standing.reserved for standing in (await shaken.standings(caller, NOW)).values()} == {0}
    assert (await shaken.audit(NOW)).findings == ()
