"""A bare client of DynamoDB, which tries once; and a table for it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

ONCE = AioConfig(retries={"total_max_attempts": 1}, region_name="us-east-1")
TABLE = "rows"


@pytest.fixture
async def client(anyio_backend: str, dynamodb_proxy: object) -> AsyncIterator[Any]:
    """It goes by way of the proxy."""
    async with get_session().create_client("dynamodb", config=ONCE) as client:
        yield client


@pytest.fixture
async def table(client: Any) -> AsyncIterator[str]:
    """A table with the row `a`, whose `n` is 0."""
    key = "pk"
    await client.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
        KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
    )
    await client.get_waiter("table_exists").wait(TableName=TABLE, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    await client.put_item(TableName=TABLE, Item={key: {"S": "a"}, "n": {"N": "0"}})
    yield TABLE
    await client.delete_table(TableName=TABLE)
