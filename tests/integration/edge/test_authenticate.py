"""Who is let in, who is not, and what it takes to find out."""

import asyncio
from typing import Any

import pytest

from penstock import keys
from penstock.clock import now_ms
from penstock.ledger import Limits
from penstock.ledger.sqlite import SqliteLedger
from tests.integration.edge.conftest import Deploy
from tests.integration.edge.deployment import CHAT, Deployment, enrol
from tests.integration.edge.watched import Watched

pytestmark = pytest.mark.anyio

MALFORMED = "The API key is malformed. A Penstock key begins with 'ps_'."
INCORRECT = "Incorrect API key."
ENDED = "This API key was revoked or has expired."


async def refusal(deployment: Deployment, headers: dict[str, str]) -> tuple[int, dict[str, Any], str | None]:
    """Status, error and challenge of a request for the models."""
    response = await deployment.client.get("/v1/models", headers=headers)
    return response.status_code, response.json()["error"], response.headers.get("www-authenticate")


def flipped(key: str, at: int) -> str:
    """The key with one character changed."""
    other = "a" if key[at] != "a" else "b"
    return key[:at] + other + key[at + 1 :] if at != -1 else key[:-1] + other


async def test_both_headers_let_in(deployment: Deployment) -> None:
    key = deployment.owner.key.reveal()
    for headers in (
        {"Authorization": f"Bearer {key}"},
        {"Authorization": f"bearer  {key}"},
        {"x-api-key": key},
        {"Authorization": f"Bearer {key}", "x-api-key": "of no interest"},
    ):
        response = await deployment.client.get("/v1/models", headers=headers)
        assert response.status_code == 200, headers


async def test_no_key(deployment: Deployment) -> None:
    status, error, challenge = await refusal(deployment, {})
    assert (status, error["type"], error["code"], challenge) == (
        401,
        "authentication_error",
        "missing_api_key",
        "Bearer",
    )


def malformed(key: str) -> list[dict[str, str]]:
    """Headers that hold no well-formed key."""
    texts = ["", "sk-" + "a" * 40, "ps_", key[:-1], key + "a", f"{key} {key}", key.upper(), "ps_" + "é" * 60, "\x7f"]
    wrong_checksums = [flipped(key, -1), flipped(key, 4), flipped(key, 20)]
    return [{"x-api-key": text} for text in (*texts, *wrong_checksums, "a" * 4_000)] + [
        {"Authorization": "Bearer"},
        {"Authorization": f"Bearer {flipped(key, 20)}"},
        {"Authorization": f"Bearer Bearer {key}"},
        {"Authorization": f"Basic {key}"},
        {"Authorization": key},
    ]


async def test_a_malformed_key_is_refused_without_a_look_up(deployment: Deployment) -> None:
    ledger = await Watched.within(deployment)
    for headers in malformed(deployment.owner.key.reveal()):
        encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        response = await deployment.client.get("/v1/models", headers=encoded)
        assert response.status_code == 401, headers
        assert response.json()["error"]["code"] == "invalid_api_key"
    assert ledger.calls["caller"] == 0


async def test_a_good_key_takes_one_look_up(deployment: Deployment) -> None:
    ledger = await Watched.within(deployment)
    await deployment.get("/v1/models")
    assert (ledger.calls["caller"], ledger.arguments["caller"]) == (1, ((deployment.owner.key.id,), {}))


async def test_an_unknown_key_and_a_wrong_secret_look_the_same(deployment: Deployment) -> None:
    """One cannot find out which ids exist."""
    known = keys.ApiKey(deployment.owner.key.id, keys.mint().secret)
    answers = [await refusal(deployment, {"x-api-key": key.reveal()}) for key in (keys.mint(), known)]
    assert answers[0] == answers[1] == (401, {**answers[0][1], "message": INCORRECT}, "Bearer")


async def test_messages_are_constant_and_hold_no_key(deployment: Deployment) -> None:
    key = deployment.owner.key.reveal()
    for sent, message in ((flipped(key, -1), MALFORMED), (keys.mint().reveal(), INCORRECT)):
        _, error, _ = await refusal(deployment, {"x-api-key": sent})
        assert error == {"message": message, "type": "authentication_error", "param": None, "code": "invalid_api_key"}


@pytest.mark.parametrize("how", ["revoked", "expired"])
async def test_an_ended_key(deployment: Deployment, how: str) -> None:
    now, key_id = now_ms(), deployment.owner.key.id
    if how == "revoked":
        await deployment.ledger.revoke_key(key_id, now)
    else:
        await deployment.ledger.expire_key(key_id, now)
    status, error, _ = await refusal(deployment, deployment.owner.bearer)
    assert (status, error["message"]) == (401, ENDED)


async def test_that_a_key_has_ended_is_told_to_its_owner_only(deployment: Deployment) -> None:
    await deployment.ledger.revoke_key(deployment.owner.key.id, now_ms())
    guess = keys.ApiKey(deployment.owner.key.id, keys.mint().secret)
    assert (await refusal(deployment, {"x-api-key": guess.reveal()}))[1]["message"] == INCORRECT


async def test_an_account_that_is_switched_off(deployment: Deployment) -> None:
    await deployment.ledger.set_account(deployment.owner.caller.account.id, enabled=False, limits=Limits())
    status, error, _ = await refusal(deployment, deployment.owner.bearer)
    assert (status, error["type"], error["code"]) == (403, "permission_error", "account_disabled")


async def test_a_key_revoked_between_authenticate_and_reserve(deploy: Deploy) -> None:
    deployment = await deploy(account_limits=Limits(concurrent_requests=10))

    await deployment.get("/v1/models")
    ledger = await Watched.within(deployment)
    ledger.held["reserve"] = asyncio.Event()
    asking = asyncio.create_task(deployment.chat())
    async with asyncio.timeout(10):
        while not ledger.calls["reserve"]:
            await asyncio.sleep(0.01)
    await deployment.ledger.revoke_key(deployment.owner.key.id, now_ms() - 1_000)
    ledger.held["reserve"].set()
    response = await asking
    assert (response.status_code, response.json()["error"]["code"]) == (401, "invalid_api_key")
    assert deployment.gpu.requests == 0
    assert {standing.reserved for standing in (await deployment.standings()).values()} == {0}


async def test_a_key_may_be_for_some_models_only(deployment: Deployment) -> None:
    owner = await enrol(deployment.ledger, models=frozenset({"acme/large"}))
    response = await deployment.client.get("/v1/models", headers=owner.bearer)
    assert [model["id"] for model in response.json()["data"]] == ["acme/large"]
    for path, status in (("/v1/models/demo", 404), ("/v1/models/small", 404), ("/v1/models/acme/large", 200)):
        assert (await deployment.client.get(path, headers=owner.bearer)).status_code == status, path
    for model, status in (("demo", 403), ("small", 403), ("acme/large", 200)):
        body = {**CHAT, "model": model}
        response = await deployment.client.post("/v1/chat/completions", json=body, headers=owner.bearer)
        assert response.status_code == status, model


async def test_a_ledger_that_is_away_is_a_503(deployment: Deployment) -> None:
    ledger = await deployment.edge.ledger()
    assert isinstance(ledger, SqliteLedger)
    await ledger.close()
    for response in (await deployment.get("/v1/models"), await deployment.chat(), await deployment.get("/v1/usage")):
        assert (response.status_code, response.json()["error"]["code"]) == (503, "ledger_unavailable")
        assert response.headers["retry-after"] == "5"
    assert (await deployment.client.get("/health")).status_code == 200
    assert (await deployment.client.get("/health/ready")).status_code == 503
