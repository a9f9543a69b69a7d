"""What is remembered of callers and of the switch, and how long something else may already be true."""

import asyncio

import pytest

from penstock.clock import now_ms
from penstock.ledger import Limits, Switch
from tests.integration.edge.conftest import Deploy
from tests.integration.edge.deployment import CHAT, COMPLETION, EMBEDDING, Deployment, enrol
from tests.integration.edge.watched import Watched

pytestmark = pytest.mark.anyio

OFF = Switch(on=False, reason="maintenance until noon", changed_at=1)


async def code_of(deployment: Deployment, path: str = "/v1/models") -> tuple[int, str | None]:
    """Status and error code of a resource."""
    response = await deployment.get(path)
    return response.status_code, response.json().get("error", {}).get("code")


async def test_a_key_is_looked_up_once_for_many_requests(deployment: Deployment) -> None:
    ledger = await Watched.within(deployment)
    await asyncio.gather(*(deployment.get("/v1/models") for _ in range(20)))
    assert [(await deployment.chat()).status_code for _ in range(3)] == [200] * 3
    assert (ledger.calls["caller"], ledger.calls["switch"]) == (1, 1)


async def test_without_a_cache_each_request_looks_up(deploy: Deploy) -> None:
    deployment = await deploy(caller_cache_s=0)
    ledger = await Watched.within(deployment)
    for _ in range(3):
        await deployment.chat()
    assert (ledger.calls["caller"], ledger.calls["switch"]) == (3, 3)


async def test_each_request_has_to_know_the_secret(deployment: Deployment) -> None:
    await deployment.get("/v1/models")
    key = deployment.owner.key.reveal()
    other = await enrol(deployment.ledger)
    mixed = f"{key[:16]}{other.key.reveal()[16:]}"
    response = await deployment.client.get("/v1/models", headers={"x-api-key": mixed})
    assert response.status_code == 401


async def test_with_the_ledger_away_a_known_key_still_opens_what_needs_no_ledger(deployment: Deployment) -> None:
    ledger = await Watched.within(deployment)
    assert await code_of(deployment) == (200, None)
    ledger.away = {"caller", "reserve", "switch"}
    assert await code_of(deployment) == (200, None)
    response = await deployment.chat()
    assert (response.status_code, response.json()["error"]["code"]) == (503, "ledger_unavailable")


async def test_a_revoked_key_spends_nothing_from_that_moment_on(deployment: Deployment) -> None:
    """What is cached may still open a list; the reservation is refused, and with it what is cached."""
    assert await code_of(deployment) == (200, None)
    await deployment.ledger.revoke_key(deployment.owner.key.id, now_ms())
    assert await code_of(deployment) == (200, None)
    response = await deployment.chat()
    assert (response.status_code, response.json()["error"]["code"]) == (401, "invalid_api_key")
    assert deployment.gpu.requests == 0
    assert await code_of(deployment) == (401, "invalid_api_key")


async def test_a_revoked_key_opens_nothing_once_the_cache_is_old(deploy: Deploy) -> None:
    deployment = await deploy(caller_cache_s=0.05)
    assert await code_of(deployment) == (200, None)
    await deployment.ledger.revoke_key(deployment.owner.key.id, now_ms())
    await asyncio.sleep(0.06)
    assert await code_of(deployment) == (401, "invalid_api_key")


async def test_an_account_that_is_switched_off_meanwhile_is_told_so(deployment: Deployment) -> None:
    assert await code_of(deployment) == (200, None)
    account = deployment.owner.caller.account.id
    await deployment.ledger.set_account(account, enabled=False, limits=Limits())
    response = await deployment.chat()
    assert (response.status_code, response.json()["error"]["code"]) == (403, "account_disabled")
    assert await code_of(deployment) == (403, "account_disabled")


async def test_limits_that_were_changed_hold_at_once(deployment: Deployment) -> None:
    assert (await deployment.chat()).status_code == 200
    account = deployment.owner.caller.account.id
    await deployment.ledger.set_account(account, enabled=True, limits=Limits(requests_per_minute=0))
    assert (await deployment.chat()).status_code == 429


# -- the switch over everybody


async def test_switched_off_nothing_spends_and_the_rest_goes_on(deploy: Deploy) -> None:
    deployment = await deploy(caller_cache_s=0)
    ledger = await Watched.within(deployment)
    await deployment.ledger.set_switch(OFF)
    response = await deployment.chat()
    assert (response.status_code, response.headers["retry-after"]) == (503, "60")
    error = response.json()["error"]
    assert (error["code"], error["message"]) == ("service_off", "The service is switched off: maintenance until noon")
    assert (ledger.calls["reserve"], deployment.gpu.requests) == (0, 0)
    for path in ("/v1/models", "/v1/usage", "/health", "/health/ready"):
        assert (await deployment.get(path)).status_code == 200, path
    await deployment.ledger.set_switch(Switch())
    assert (await deployment.chat()).status_code == 200


async def test_a_switch_without_a_reason(deploy: Deploy) -> None:
    deployment = await deploy()
    await deployment.ledger.set_switch(Switch(on=False))
    assert (await deployment.chat()).json()["error"]["message"] == "The service is switched off."


# -- groups of routes


@pytest.mark.parametrize(
    ("routes", "allowed"),
    [
        (None, {"chat", "completions", "embeddings", "files", "batches", "models", "usage"}),
        ({"models"}, {"models"}),
        ({"chat", "usage"}, {"chat", "usage"}),
        ({"completions"}, {"completions"}),
        ({"files"}, {"files"}),
        ({"batches", "chat"}, {"batches", "chat"}),
        ({"embeddings", "models"}, {"embeddings", "models"}),
        (set(), set()),
    ],
)
async def test_a_key_may_be_for_some_routes_only(
    deployment: Deployment, routes: set[str] | None, allowed: set[str]
) -> None:
    scope = None if routes is None else frozenset(routes)
    owner = await enrol(deployment.ledger, routes=scope)
    answers = {
        "chat": await deployment.client.post("/v1/chat/completions", json=CHAT, headers=owner.bearer),
        "completions": await deployment.client.post("/v1/completions", json=COMPLETION, headers=owner.bearer),
        "embeddings": await deployment.client.post("/v1/embeddings", json=EMBEDDING, headers=owner.bearer),
        "files": await deployment.client.get("/v1/files", headers=owner.bearer),
        "batches": await deployment.client.get("/v1/batches", headers=owner.bearer),
        "models": await deployment.client.get("/v1/models", headers=owner.bearer),
        "usage": await deployment.client.get("/v1/usage", headers=owner.bearer),
    }
    assert {group for group, answer in answers.items() if answer.status_code == 200} == allowed
    for group in answers.keys() - allowed:
        error = answers[group].json()["error"]
        assert (answers[group].status_code, error["type"], error["code"]) == (
            403,
            "permission_error",
            "route_not_allowed",
        )
        assert repr(group) in error["message"]
