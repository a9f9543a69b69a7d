"""What ledger and book ask of DynamoDB keeps DynamoDB's rules for expressions, also where ministack is lenient.

Every method of both is called, by way of a proxy which hears the requests. They are then made again, in
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

from penstock.batches import Book, open_book
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
from tests.contract.books import batch_of, file_of, finished, full, shards_of
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
LATER = 10**13  # in 2286: the table's TTL, which is on here, leaves it alone
SAYS_NO = "ConditionalCheckFailedException"

Request = tuple[str, dict[str, Any]]


class Called:
    """A ledger or a book, and the names of the methods that were called."""

    def __init__(self, called: object) -> None:
        self.called = called
        self.names: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        self.names.add(name)
        return getattr(self.called, name)

    def all_of(self, protocol: type) -> bool:
        """Whether they are all that the protocol has."""
        return self.names >= {name for name in vars(protocol) if not name.startswith("_")}


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


async def file(book: Book) -> None:
    """Files that are added, changed, listed in each way, and removed."""
    file, other = file_of(), file_of(1)
    for _ in "12":
        assert await book.add_file(file)
    assert await book.add_file(other)
    assert await book.change_file(replace(file, expires_at=LATER))
    assert await book.change_file(replace(file, revision=1))
    assert await book.file(file.account_id, file.id) == replace(file, revision=2)
    for purpose in (None, file.purpose):
        assert len(await book.files(file.account_id, purpose=purpose, limit=1)) == 1
        assert len(await book.files(file.account_id, purpose=purpose, after=file.id, newest_first=False)) == 1
    for there in (True, False):
        assert await book.remove_file(file.account_id, file.id) is there


async def batch(book: Book) -> None:
    """A batch with shards, from its beginning until it is closed."""
    batch, shards = batch_of(), shards_of(batch_of(), 2)
    for _ in "12":
        assert await book.add_batch(batch)
        await book.add_shards(shards)
    for _ in "12":
        assert await book.change_batch(replace(batch, lines=1))
        assert await book.change_shard(replace(finished(shards[0]), since=LATER))
    assert not await book.change_batch(batch)
    assert await book.open_batches() == [batch.id]
    assert await book.shard(batch.id, 1) in await book.shards(batch.id)
    await book.remove_shards(batch.id)
    assert await book.change_batch(replace(full(batch), ended_at=LATER, revision=1))
    assert await book.batches(batch.account_id, after="batch_~") == [await book.batch(batch.id)]
    assert await book.open_batches() == []


async def call_everything_of_the_book(book: Book) -> None:
    await file(book)
    await batch(book)


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


async def test_every_request_of_ledger_and_book_keeps_the_rules(
    dynamodb_proxy: Proxy, dynalite_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests: list[Request] = []
    dynamodb_proxy.heard = lambda operation, body: requests.append((operation, json.loads(body)))
    table = f"penstock-test-{uuid4().hex}"
    ledger, book = Called(await create_ledger(f"dynamodb://{table}")), Called(await open_book(f"dynamodb://{table}"))
    try:
        await call_everything(ledger)
        await call_everything_of_the_book(book)
    finally:
        await ledger.close()
        await book.close()
        await delete_table(table)
    assert ledger.all_of(Ledger)
    assert book.all_of(Book)

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
