"""DynamoDB that cannot be reached: one line that says why, within the time that a call has."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from penstock.ledger import Ledger, LedgerUnavailable, create_ledger, open_ledger
from penstock.ledger.dynamodb import patience
from tests.servers.environment import lead_to

pytestmark = pytest.mark.anyio

GENEROUS = 60.0  # seconds; the patience is 10


async def complaint(of: Callable[[str], Awaitable[Ledger]] = open_ledger) -> str:
    """What is said of a table that cannot be opened, or made."""
    async with asyncio.timeout(GENEROUS):
        with pytest.raises(LedgerUnavailable) as raised:
            await of("dynamodb://any-table")
    said = str(raised.value)
    assert said
    assert "\n" not in said
    return said


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call gives up after a second."""
    monkeypatch.setattr(patience.Patience.__init__, "__defaults__", (1.0,))


@pytest.mark.usefixtures("impatient")
async def test_an_endpoint_where_nothing_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    lead_to("http://127.0.0.1:9", monkeypatch)
    assert "127.0.0.1:9" in await complaint()
    assert "127.0.0.1:9" in await complaint(create_ledger)


@pytest.mark.usefixtures("impatient")
async def test_an_endpoint_that_takes_connections_and_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(hold, "127.0.0.1", 0) as server:
        lead_to(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", monkeypatch)
        assert await complaint() == "the table any-table did not answer for 10 seconds"


async def test_an_environment_without_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lead_to("http://127.0.0.1:9", monkeypatch)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    assert "credentials" in await complaint()
    assert "credentials" in await complaint(create_ledger)


async def test_an_environment_without_a_region(monkeypatch: pytest.MonkeyPatch) -> None:
    lead_to("http://127.0.0.1:9", monkeypatch)
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    assert "region" in await complaint()


async def test_the_region_may_be_named_as_lambda_does(dynamodb_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    region = os.environ.get("AWS_REGION") or os.environ["AWS_DEFAULT_REGION"]
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setenv("AWS_REGION", region)
    await (await open_ledger(dynamodb_url)).close()


async def test_an_endpoint_that_is_no_url(monkeypatch: pytest.MonkeyPatch) -> None:
    lead_to("here", monkeypatch)
    assert "here" in await complaint()


async def test_another_region_has_no_such_table(dynamodb_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if "AWS_ENDPOINT_URL" not in os.environ:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "")
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "eu-west-1")
    with pytest.raises(LedgerUnavailable, match="there is no table penstock-test-"):
        await open_ledger(dynamodb_url)
