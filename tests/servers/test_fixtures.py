"""The fixtures: where the environment leads, and that the two emulators are what they are taken for."""

import os
from typing import Any

import pytest
from aiobotocore.session import get_session
from botocore.exceptions import ClientError

from tests.servers.conftest import ONCE, TABLE
from tests.servers.environment import lead_to
from tests.servers.proxy import Proxy

pytestmark = pytest.mark.anyio

# DynamoDB refuses arithmetic in a condition.
ARITHMETIC = {
    "TableName": TABLE,
    "Key": {"pk": {"S": "a"}},
    "UpdateExpression": "SET n = :one",
    "ConditionExpression": "n < m + :one",
    "ExpressionAttributeValues": {":one": {"N": "1"}},
}


def test_the_environment_leads_to_the_server(dynamodb: str | None) -> None:
    assert os.environ.get("AWS_ENDPOINT_URL") == dynamodb


def test_the_environment_leads_to_the_proxy(dynamodb_proxy: Proxy) -> None:
    assert os.environ["AWS_ENDPOINT_URL"] == dynamodb_proxy.url != dynamodb_proxy.target


def test_nothing_else_leads_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1")
    lead_to("http://127.0.0.1:2", monkeypatch)
    left = {name for name in os.environ if name.startswith("AWS_")}
    assert "AWS_PROFILE" not in left
    assert "AWS_ENDPOINT_URL_DYNAMODB" not in left


async def test_dynalite_refuses_an_expression_that_dynamodb_refuses(
    anyio_backend: str, dynalite_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead_to(dynalite_server, monkeypatch)
    async with get_session().create_client("dynamodb", config=ONCE) as strict:
        with pytest.raises(ClientError, match=r"ValidationException.*ConditionExpression"):
            await strict.update_item(**ARITHMETIC)


async def test_ministack_holds_a_condition(client: Any, table: str) -> None:
    condition = {**ARITHMETIC, "ConditionExpression": "n < :one"}
    await client.update_item(**condition)
    with pytest.raises(client.exceptions.ConditionalCheckFailedException):
        await client.update_item(**condition)
