"""Secrets kept in SSM: read when needed, all at once; again after a while; and what is there is used meanwhile."""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import structlog
from aiobotocore.session import get_session
from pydantic import SecretStr

from functions.edge import credentials
from penstock import parameter_store
from penstock.ledger import Limits
from tests.integration.edge.conftest import Deploy, Logged
from tests.integration.edge.deployment import TICKET_KEYS, Deployment
from tests.servers.proxy import Proxy

pytestmark = pytest.mark.anyio

Start = Callable[[], Awaitable[Deployment]]

PREFIX = "/penstock/test"
NAMES = {"ticket_keys": "ticket-keys", "gpu_key": "gpu-key", "gpu_secret": "gpu-secret"}
REFERENCES = {setting: SecretStr(f"ssm:{PREFIX}/{name}") for setting, name in NAMES.items()}
GOOD = {"ticket-keys": TICKET_KEYS, "gpu-key": "wk-hush", "gpu-secret": "ws-hush"}
HEADERS = {"modal-key": "wk-hush", "modal-secret": "ws-hush"}
OTHERS = "k2:" + base64.b64encode(b"another thirty-two bytes, and more").decode()


class Parameters:
    """What this account keeps in its store, which goes with the test."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def put(self, **values: str) -> None:
        """Write them; `_` in a name is `-`."""
        for name, value in values.items():
            path = f"{PREFIX}/{name.replace('_', '-')}"
            await self._client.put_parameter(Name=path, Value=value, Type="SecureString", Overwrite=True)

    async def clear(self) -> None:
        """Delete them all."""
        await self._client.delete_parameters(Names=[f"{PREFIX}/{name}" for name in NAMES.values()])


@pytest.fixture
async def store(anyio_backend: str, dynamodb: str | None) -> AsyncIterator[Parameters]:
    """The store, with good secrets in it."""
    async with get_session().create_client("ssm") as client:
        parameters = Parameters(client)
        await parameters.put(**{name.replace("-", "_"): value for name, value in GOOD.items()})
        yield parameters
        await parameters.clear()


@pytest.fixture
def told(logged: Logged, monkeypatch: pytest.MonkeyPatch) -> Logged:
    """The edge's log, with what it says of its secrets."""
    monkeypatch.setattr(credentials, "log", structlog.get_logger())
    return logged


@pytest.fixture
def start(store: Parameters, told: Logged, dynamodb_proxy: Proxy, deploy: Deploy) -> Start:
    """Makes an edge whose secrets are in the store, which it reaches by way of the proxy."""

    async def run() -> Deployment:
        deployment = await deploy(**REFERENCES)
        deployment.gpu.asks_for = HEADERS
        return deployment

    return run


def readings(proxy: Proxy) -> int:
    return proxy.requests["GetParameters"]


def expire(deployment: Deployment) -> None:
    """As after `PENSTOCK_SECRETS_CACHE_S`."""
    deployment.edge.keyring.expire()


async def settle(deployment: Deployment) -> None:
    """Until no reading is under way."""
    async with asyncio.timeout(30):
        while deployment.edge.keyring._reading is not None:
            await asyncio.sleep(0.01)


def complaints(told: Logged) -> list[dict[str, Any]]:
    return [line for line in told.lines() if line["event"] == "secrets_unreadable"]


async def test_they_are_read_once_for_all_requests_at_the_first_that_needs_them(
    start: Start, dynamodb_proxy: Proxy, told: Logged
) -> None:
    deployment = await start()
    assert (await deployment.client.get("/health")).status_code == 200
    assert readings(dynamodb_proxy) == 0
    answers = await asyncio.gather(*(deployment.chat() for _ in range(8)))
    assert [answer.status_code for answer in answers] == [200] * 8
    assert (await deployment.chat(stream=True)).status_code == 200
    assert readings(dynamodb_proxy) == 1
    assert not any(value in told.read() for value in GOOD.values())


async def test_a_rotation_is_seen_without_a_deployment(start: Start, dynamodb_proxy: Proxy, store: Parameters) -> None:
    deployment = await start()
    assert (await deployment.chat()).status_code == 200
    await store.put(gpu_key="wk-new", gpu_secret="ws-new")
    deployment.edge.keyring._keep_s = 0.05  # type: ignore[assignment]
    expire(deployment)
    await deployment.chat()
    await settle(deployment)
    deployment.gpu.asks_for = {"modal-key": "wk-new", "modal-secret": "ws-new"}
    assert (await deployment.chat()).status_code == 200
    await store.put(ticket_keys=f"{OTHERS},{TICKET_KEYS}")
    await asyncio.sleep(0.06)
    await deployment.chat()
    await settle(deployment)
    assert await signed_by(deployment) == "k2"


async def signed_by(deployment: Deployment) -> str:
    """The id of the key that the next ticket is signed with."""
    return (await deployment.edge.keyring.get()).tickets._current


async def test_no_request_waits_while_they_are_read_again(
    start: Start, dynamodb_proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment = await start()
    assert (await deployment.chat()).status_code == 200
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slowly(_: Any) -> dict[str, str]:
        asked.set()
        await go_on.wait()
        return {f"{PREFIX}/{name}": value for name, value in GOOD.items()}

    monkeypatch.setattr(parameter_store, "read_parameters", slowly)
    expire(deployment)
    answers = await asyncio.gather(*(deployment.chat() for _ in range(3)))
    assert [answer.status_code for answer in answers] == [200] * 3
    assert asked.is_set()
    go_on.set()
    await settle(deployment)
    assert (await deployment.chat()).status_code == 200


async def test_what_is_there_is_used_where_ssm_is_away(
    start: Start, told: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment = await start()
    assert (await deployment.chat()).status_code == 200
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    expire(deployment)
    assert (await deployment.chat()).status_code == 200
    await settle(deployment)
    assert (await deployment.chat()).status_code == 200
    (complaint,) = complaints(told)
    assert (complaint["level"], complaint["kept"]) == ("error", True)
    assert "127.0.0.1:9" in complaint["reason"]


async def test_without_any_a_request_is_refused_reserves_nothing_and_asks_seldom(
    deploy: Deploy, store: Parameters, told: Logged, dynamodb_proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.clear()
    deployment = await deploy(account_limits=Limits(concurrent_requests=1), **REFERENCES)
    for _ in range(3):
        refused = await deployment.chat()
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "secrets_unavailable")
        assert refused.headers["retry-after"] == "5"
        assert "/penstock" not in refused.text
    assert readings(dynamodb_proxy) == 1
    (complaint,) = complaints(told)
    assert f"{PREFIX}/gpu-key, {PREFIX}/gpu-secret, {PREFIX}/ticket-keys" in complaint["reason"]
    assert complaint["kept"] is False
    await store.put(**{name.replace("-", "_"): value for name, value in GOOD.items()})
    monkeypatch.setattr(credentials, "TRY_AGAIN_IN", 0.0)
    expire(deployment)
    assert (await deployment.chat()).status_code == 200


@pytest.mark.parametrize(
    ("name", "value"),
    [("ticket_keys", "k1:c2hvcnRzZWNyZXQ="), ("ticket_keys", "hush"), ("gpu_key", "hush\n"), ("gpu_secret", "hüsh")],
)
async def test_a_malformed_one_is_named_and_not_shown_and_leaves_what_is_there(
    start: Start, store: Parameters, told: Logged, name: str, value: str
) -> None:
    deployment = await start()
    assert (await deployment.chat()).status_code == 200
    await store.put(**{name: value})
    expire(deployment)
    await deployment.chat()
    await settle(deployment)
    assert (await deployment.chat()).status_code == 200
    (complaint,) = complaints(told)
    parameter = f"{PREFIX}/{NAMES[name]}"
    assert complaint["reason"].startswith(f"PENSTOCK_{name.upper()}, the parameter {parameter}: ")
    assert value.strip() not in told.read()
    assert "c2hvcnRzZWNyZXQ" not in told.read()


@pytest.mark.parametrize("away", [False, True])
async def test_a_malformed_first_one_refuses(
    start: Start, store: Parameters, told: Logged, monkeypatch: pytest.MonkeyPatch, away: bool
) -> None:
    deployment = await start()
    await store.put(ticket_keys="k1:c2hvcnRzZWNyZXQ=")
    if away:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    refused = await deployment.chat()
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "secrets_unavailable")
    assert "c2hvcnRzZWNyZXQ" not in told.read()
    assert len(complaints(told)) == 1


async def test_an_edge_that_ends_while_it_reads_ends(
    deploy: Deploy, store: Parameters, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_: Any) -> dict[str, str]:
        await asyncio.Event().wait()
        return {}

    monkeypatch.setattr(parameter_store, "read_parameters", never)
    deployment = await deploy(**REFERENCES)
    deployment.edge.keyring.refresh()
    async with asyncio.timeout(10):
        await deployment.edge.keyring.close()
    assert deployment.edge.keyring._reading is None


async def test_literals_are_there_at_once_and_ask_nobody(deploy: Deploy, dynamodb_proxy: Proxy) -> None:
    deployment = await deploy()
    assert (await deployment.chat()).status_code == 200
    expire(deployment)
    assert (await deployment.chat()).status_code == 200
    assert dynamodb_proxy.requests.total() == 0
