"""The proxy on the way to DynamoDB: it changes nothing, and counts; each fault is for the client what it should be."""

import asyncio
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from tests.servers.conftest import TABLE
from tests.servers.faults import Fault, Faults
from tests.servers.proxy import Proxy

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("table")]

KEY = {"pk": {"S": "a"}}


async def add(client: Any) -> None:
    """Add 1 to the row's `n`."""
    await client.update_item(
        TableName=TABLE, Key=KEY, UpdateExpression="ADD n :one", ExpressionAttributeValues={":one": {"N": "1"}}
    )


async def transact(client: Any) -> None:
    """Add 1 to the row's `n`, and write another row."""
    one = {":one": {"N": "1"}}
    update = {"TableName": TABLE, "Key": KEY, "UpdateExpression": "ADD n :one", "ExpressionAttributeValues": one}
    await client.transact_write_items(
        TransactItems=[{"Update": update}, {"Put": {"TableName": TABLE, "Item": {"pk": {"S": "b"}}}}]
    )


async def count(client: Any) -> int:
    """The row's `n`."""
    answer = await client.get_item(TableName=TABLE, Key=KEY, ConsistentRead=True)
    return int(answer["Item"]["n"]["N"])


async def failure(client: Any, proxy: Proxy, fault: Fault, operation: Any = add) -> tuple[Any, int]:
    """What the client meets when the fault befalls an operation, and what `n` is afterwards."""
    proxy.faults = Faults(0, rate=1.0, only=frozenset({fault}))
    with pytest.raises((ClientError, ConnectionClosedError)) as met:
        await operation(client)
    assert proxy.faults.done.total() == 1
    proxy.faults = None
    return met.value, await count(client)


async def test_it_counts_what_it_passes_on(client: Any, dynamodb_proxy: Proxy) -> None:
    before = dynamodb_proxy.requests.copy()
    await asyncio.gather(*(add(client) for _ in range(20)))
    assert await count(client) == 20
    assert dynamodb_proxy.requests - before == {"UpdateItem": 20, "GetItem": 1}


async def test_it_lets_others_hear_each_request(client: Any, dynamodb_proxy: Proxy) -> None:
    heard: list[tuple[str, bytes]] = []
    dynamodb_proxy.heard = lambda operation, body: heard.append((operation, body))
    await add(client)
    ((operation, body),) = heard
    assert operation == "UpdateItem"
    assert b'"ADD n :one"' in body


async def test_an_error_of_the_servers_own_comes_through_unchanged(client: Any) -> None:
    with pytest.raises(client.exceptions.ConditionalCheckFailedException) as refused:
        await client.put_item(
            TableName=TABLE,
            Item=KEY,
            ConditionExpression="attribute_not_exists(pk)",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    assert refused.value.response["Item"] == {**KEY, "n": {"N": "0"}}


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Fault.THROTTLED, 400),
        (Fault.OVER_CAPACITY, 400),
        (Fault.CONFLICT, 400),
        (Fault.FAILED, 500),
    ],
)
async def test_an_error_comes_instead_of_the_effect(
    client: Any, dynamodb_proxy: Proxy, fault: Fault, status: int
) -> None:
    error, n = await failure(client, dynamodb_proxy, fault)
    assert error.response["Error"]["Code"] == fault.value
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert isinstance(error, getattr(client.exceptions, fault.value))
    assert n == 0


async def test_an_error_comes_after_the_effect(client: Any, dynamodb_proxy: Proxy) -> None:
    error, n = await failure(client, dynamodb_proxy, Fault.ANSWER_SPOILT)
    assert isinstance(error, client.exceptions.InternalServerError)
    assert n == 1


@pytest.mark.parametrize(("fault", "effect"), [(Fault.UNREACHED, 0), (Fault.ANSWER_LOST, 1)])
@pytest.mark.parametrize("operation", [add, transact])
async def test_a_connection_closes_before_or_after_the_effect(
    client: Any, dynamodb_proxy: Proxy, fault: Fault, effect: int, operation: Any
) -> None:
    error, n = await failure(client, dynamodb_proxy, fault, operation)
    assert isinstance(error, ConnectionClosedError)
    assert n == effect


async def test_a_transaction_is_cancelled_for_a_conflict(client: Any, dynamodb_proxy: Proxy) -> None:
    error, n = await failure(client, dynamodb_proxy, Fault.CONFLICT, transact)
    assert isinstance(error, client.exceptions.TransactionCanceledException)
    assert [reason["Code"] for reason in error.response["CancellationReasons"]] == ["TransactionConflict", "None"]
    assert "[TransactionConflict, None]" in str(error)
    assert n == 0


async def test_a_fifth_of_many_requests_fails_and_each_fault_occurs(
    client: Any, dynamodb_proxy: Proxy, dynamodb_faults: Faults
) -> None:
    """What took effect is what was answered, or was done and its answer lost."""
    outcomes = await asyncio.gather(*(add(client) for _ in range(400)), return_exceptions=True)
    done = dynamodb_faults.done
    assert {fault for _, fault in done} == set(Fault)
    assert done.total() == sum(outcome is not None for outcome in outcomes)
    assert 40 <= done.total() <= 120
    dynamodb_faults.rate = 0.0
    unheard = sum(times for (_, fault), times in done.items() if fault.forwarded)
    assert await count(client) == outcomes.count(None) + unheard


async def test_operations_on_tables_never_fail(client: Any, dynamodb_proxy: Proxy) -> None:
    dynamodb_proxy.faults = Faults(0, rate=1.0)
    assert (await client.describe_table(TableName=TABLE))["Table"]["TableStatus"] == "ACTIVE"
    assert dynamodb_proxy.faults.done.total() == 0
