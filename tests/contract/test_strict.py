"""What the ledger asks of DynamoDB keeps DynamoDB's rules for expressions, also where ministack is lenient.

Every method of the ledger is called, by way of a proxy which hears the requests. They are then made again, in
their order, of dynalite, which refuses an expression as DynamoDB does. It has no transactions: of one, each
item's write is made by itself.
"""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore import xform_name
from botocore.exceptions import ClientError

from penstock.ledger import (
    AccessDenied,
    Bound,
    Caller,
    Claim,
    Idempotency,
    Ledger,
    Limits,
    Refused,
    Settled,
    StoredAnswer,
    Switch,
    create_ledger,
)
from penstock.ledger.dynamodb import delete_table
from tests.contract.samples import BOUND, COST, DEADLINE, NOW, USAGE, enrol, lease_of, live
from tests.servers.environment import lead_to
from tests.servers.faults import DATA_PLANE
from tests.servers.proxy import Proxy

pytestmark = pytest.mark.anyio

EVERY = Limits(
    requests_per_minute=4,
    tokens_per_minute=400,
    concurrent_requests=3,
    monthly_budget=1_000_000,
    monthly_tokens=500,
)
ONCE = AioConfig(retries={"total_max_attempts": 1}, region_name="us-east-1")
SAYS_NO = "ConditionalCheckFailedException"

Request = tuple[str, dict[str, Any]]


class Called:
    """A ledger, and the names of the methods that were called."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.names: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        self.names.add(name)
        return getattr(self.ledger, name)


async def administer(ledger: Ledger, caller: Caller) -> None:
    """Change all that can be changed of an account, a key and the switch, and read it."""
    account, key = caller.account, caller.key
    await ledger.set_account(account.id, enabled=True, limits=EVERY, keep_answers=False)
    await ledger.set_key(key.id, limits=EVERY, models=frozenset({"demo"}), routes=frozenset({"chat"}))
    await ledger.create_key(replace(key, id="second"))
    await ledger.expire_key("second", NOW + 5)
    await ledger.revoke_key("second", NOW)
    await ledger.set_switch(Switch(on=True, reason="a test", changed_at=NOW))
    assert len(await ledger.accounts()) == 1
    assert len(await ledger.keys()) == len(await ledger.keys(account.id)) == 2
    assert (await ledger.account(account.id)) is not None
    assert (await ledger.caller(key.id)) is not None
    assert (await ledger.switch()).on


async def request(ledger: Ledger, caller: Caller) -> None:
    """One request from its reservation to its settlement, with every call made twice; and one given back."""
    lease = await live(ledger, caller, lease_of(caller))
    for _ in "12":
        assert await ledger.claim(lease, "a", BOUND, NOW, DEADLINE) is Claim.CLAIMED
        assert await ledger.checkpoint(lease, "a", USAGE, DEADLINE + 1)
    assert await ledger.claim(lease, "b", BOUND, NOW, DEADLINE) is Claim.TAKEN
    for settled in (Settled.FIRST, Settled.REPEATED):
        assert await ledger.settle(lease, USAGE, "stop", NOW) is settled
    other = await live(ledger, caller, lease_of(caller, "req_2"))
    assert await ledger.release(other, NOW)
    assert not await ledger.release(other, NOW)


async def refusals(ledger: Ledger, caller: Caller) -> None:
    """Reservations which each limit refuses, one after the other, and those of a key that has ended."""
    key = caller.key
    for name in ("requests_per_minute", "tokens_per_minute", "concurrent_requests", "monthly_budget", "monthly_tokens"):
        await ledger.set_key(key.id, limits=Limits(**{name: 1}), models=None, routes=None)
        lease = lease_of(caller, f"req_{name}", bound=Bound(200, COST))
        outcomes = [await ledger.reserve(caller, replace(lease, id=f"{lease.id}_{number}")) for number in "12"]
        assert any(isinstance(outcome, Refused) for outcome in outcomes), name
    ended = replace(caller, key=replace(key, id="second"))
    with pytest.raises(AccessDenied):
        await ledger.reserve(ended, lease_of(ended, "req_denied"))


async def deaths(ledger: Ledger, caller: Caller) -> None:
    """A lease that its claimer left, closed and then settled late; and one that nobody claimed."""
    await ledger.set_account(caller.account.id, enabled=True, limits=Limits(concurrent_requests=9))
    await ledger.set_key(caller.key.id, limits=Limits(), models=None, routes=None)
    at = DEADLINE + 60_000
    left = await live(ledger, caller, lease_of(caller, "req_left", at=at))
    await live(ledger, caller, lease_of(caller, "req_unclaimed", at=at))
    await ledger.claim(left, "a", BOUND, at, left.deadline)
    await ledger.checkpoint(left, "a", replace(USAGE, completion_tokens=3), left.deadline)
    while await ledger.expire(left.deadline + 1):
        pass
    assert await ledger.settle(left, USAGE, "stop", left.deadline + 2) is Settled.LATE


async def look(ledger: Ledger, caller: Caller) -> None:
    """Read what was used, in each way."""
    account, key = caller.account.id, caller.key.id
    await ledger.standings(caller, NOW)
    assert sum(row.nano for row in await ledger.usage()) == 2 * COST
    assert await ledger.usage(account_id=account, key_id=key, since="2026-03-01", until="2026-03-31")
    assert (await ledger.record("req_1")) is not None
    assert len(await ledger.records()) == len(await ledger.records(account_id=account)) == 2
    assert (await ledger.audit(DEADLINE + 999_999)).findings == ()
    assert await ledger.schema_version() == 1


async def idempotency(ledger: Ledger) -> None:
    """A key that is begun, remembered and found again, and one that is abandoned."""
    answer = StoredAnswer(200, "application/json", b"{}")
    for number, outcome in enumerate((Idempotency.FRESH, Idempotency.IN_FLIGHT)):
        assert await ledger.begin("acme", "k", "body", f"{number}", now=NOW, expires_at=DEADLINE) is outcome
    assert await ledger.remember("acme", "k", "0", answer, DEADLINE)
    assert await ledger.begin("acme", "k", "body", "2", now=NOW, expires_at=DEADLINE) == answer
    await ledger.begin("acme", "other", "body", "a", now=NOW, expires_at=DEADLINE)
    await ledger.abandon("acme", "other", "a")


async def call_everything(ledger: Ledger) -> None:
    caller = await enrol(ledger)
    await administer(ledger, caller)
    await request(ledger, caller)
    await refusals(ledger, caller)
    await deaths(ledger, caller)
    await look(ledger, caller)
    await idempotency(ledger)


def single(operation: str, body: dict[str, Any]) -> Iterator[Request]:
    """The requests that dynalite knows, for one that DynamoDB knows."""
    if operation == "TransactWriteItems":
        for item in body["TransactItems"]:
            ((action, write),) = item.items()
            assert action in ("Put", "Update", "Delete")
            yield f"{action}Item", write
    elif operation in DATA_PLANE | {"CreateTable"}:
        yield operation, body


async def refused_by_dynalite(client: Any, requests: list[Request]) -> AsyncIterator[str]:
    """What it says of those it refuses, but for a condition that does not hold."""
    for operation, body in requests:
        for name, parameters in single(operation, body):
            try:
                await getattr(client, xform_name(name))(**parameters)
            except ClientError as error:
                if error.response["Error"]["Code"] != SAYS_NO:
                    yield f"{error}: {json.dumps(parameters)}"


async def test_every_request_of_the_ledger_keeps_the_rules(
    dynamodb_proxy: Proxy, dynalite_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests: list[Request] = []
    dynamodb_proxy.heard = lambda operation, body: requests.append((operation, json.loads(body)))
    table = f"penstock-test-{uuid4().hex}"
    called = Called(await create_ledger(f"dynamodb://{table}"))
    try:
        await call_everything(called)
    finally:
        await called.close()
        await delete_table(table)
    assert called.names >= {name for name in vars(Ledger) if not name.startswith("_")}

    lead_to(dynalite_server, monkeypatch)
    async with get_session().create_client("dynamodb", config=ONCE) as strict:
        assert [refusal async for refusal in refused_by_dynalite(strict, requests)] == []


async def test_an_expression_against_the_rules_is_found(
    anyio_backend: str, dynalite_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead_to(dynalite_server, monkeypatch)
    overlapping = {
        "TableName": "any",
        "Key": {"pk": {"S": "a"}},
        "UpdateExpression": "SET live.a = :one REMOVE live",
        "ExpressionAttributeValues": {":one": {"N": "1"}},
    }
    async with get_session().create_client("dynamodb", config=ONCE) as strict:
        transaction = {"TransactItems": [{"Update": overlapping}]}
        (refusal,) = [said async for said in refused_by_dynalite(strict, [("TransactWriteItems", transaction)])]
    assert "Two document paths overlap" in refusal
