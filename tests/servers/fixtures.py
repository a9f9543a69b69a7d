"""The fixtures, for every test (see tests/conftest.py). A server starts with the first test that asks for it."""

import os
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest

from tests.servers.dynalite import NODE_JS, dynalite, node_js
from tests.servers.environment import lead_to
from tests.servers.faults import Faults
from tests.servers.ministack import ministack
from tests.servers.proxy import Proxy

NO_NODE_JS = f"no Node.js {NODE_JS}"
NO_PROXY = "AWS itself refuses what comes through a proxy"


@pytest.fixture(scope="session")
def dynamodb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str | None]:
    """The URL of the one DynamoDB of this run. None: it is at AWS, where the environment says."""
    if os.environ.get("PENSTOCK_TEST_DYNAMODB") == "aws":
        yield os.environ.get("AWS_ENDPOINT_URL")
        return
    with ministack(tmp_path_factory.mktemp("ministack")) as url:
        yield url


@pytest.fixture
def dynamodb(dynamodb_server: str | None, monkeypatch: pytest.MonkeyPatch) -> str | None:
    """The environment leads to DynamoDB: see `dynamodb_server`."""
    if os.environ.get("PENSTOCK_TEST_DYNAMODB") != "aws":
        assert dynamodb_server is not None
        lead_to(dynamodb_server, monkeypatch)
    return dynamodb_server


@pytest.fixture
async def dynamodb_url(anyio_backend: str, dynamodb: str | None) -> AsyncIterator[str]:
    """The URL of a ledger: a table of the test's own, made and empty, which goes with the test."""
    from penstock.ledger.dynamodb import create_table, delete_table

    table = f"penstock-test-{uuid4().hex}"
    await create_table(table)
    if os.environ.get("PENSTOCK_TEST_DYNAMODB") != "aws":
        await _keep_what_is_past(table)
    yield f"dynamodb://{table}"
    await delete_table(table)


@pytest.fixture
async def bucket_url(anyio_backend: str, dynamodb: str | None) -> AsyncIterator[str]:
    """The URL of object storage: a bucket of the test's own, made and empty, which goes with the test."""
    from aiobotocore.session import get_session

    bucket = f"penstock-test-{uuid4().hex}"
    async with get_session().create_client("s3") as client:
        await client.create_bucket(Bucket=bucket)
        yield f"s3://{bucket}"
        async for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for each in page.get("Contents", ()):
                await client.delete_object(Bucket=bucket, Key=each["Key"])
        await client.delete_bucket(Bucket=bucket)


async def _keep_what_is_past(table: str) -> None:
    """Switch the table's TTL off: the tests' dates are fixed, and ministack deletes by the clock, every minute."""
    from aiobotocore.session import get_session

    never = {"Enabled": False, "AttributeName": "expires"}
    async with get_session().create_client("dynamodb") as client:
        await client.update_time_to_live(TableName=table, TimeToLiveSpecification=never)


@pytest.fixture
def dynamodb_proxy(dynamodb: str | None) -> Iterator[Proxy]:
    """The environment leads to DynamoDB by way of a proxy, which counts the requests. It lets all succeed."""
    if dynamodb is None:
        pytest.skip(NO_PROXY)
    # The way back is restored with the proxy's end, for fixtures of before it which have yet to end.
    with Proxy(dynamodb) as proxy, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", proxy.url)
        yield proxy


@pytest.fixture
def dynamodb_faults(dynamodb_proxy: Proxy, request: pytest.FixtureRequest) -> Faults:
    """Of the requests by way of the proxy, a fifth fail. An indirect parameter is the seed."""
    faults = Faults(seed=getattr(request, "param", 1))
    dynamodb_proxy.faults = faults
    return faults


@pytest.fixture(scope="session")
def dynalite_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of dynalite, which is strict about expressions and knows no transactions."""
    node = node_js()
    if node is None:
        pytest.skip(NO_NODE_JS)
    with dynalite(node, tmp_path_factory.mktemp("dynalite")) as url:
        yield url
