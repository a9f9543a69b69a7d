"""Floods: of wrong keys, of refused requests, of repetitions. They reach the store a bounded number of times."""

import asyncio
import importlib

import httpx2
import pytest

from functions.edge import buckets
from functions.edge.edge import FAILURES, REPETITIONS
from functions.edge.refusals import BURST
from penstock import keys
from penstock.clock import now_ms
from penstock.ledger import Limits
from tests.integration.edge.conftest import Deploy
from tests.integration.edge.deployment import CHAT, Deployment, enrol
from tests.integration.edge.watched import Watched

pytestmark = pytest.mark.anyio

TOO_MANY = (429, "too_many_failures")


@pytest.fixture(autouse=True)
def one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test happens in one moment: no bucket fills, and no memory runs out."""
    now = now_ms()
    monkeypatch.setattr(buckets, "monotonic", lambda: 1_000.0)
    for policy in ("admit", "recall"):
        monkeypatch.setattr(importlib.import_module(f"functions.edge.policies.{policy}"), "now_ms", lambda: now)


async def knock(deployment: Deployment, key: str, address: str = "192.0.2.1") -> httpx2.Response:
    """Ask for the models with that key, from that address."""
    # uvicorn takes the address from its own host's proxies.
    return await deployment.client.get("/v1/models", headers={"x-api-key": key, "X-Forwarded-For": address})


def outcome(response: httpx2.Response) -> tuple[int, str | None]:
    """Status and error code."""
    return response.status_code, response.json().get("error", {}).get("code")


async def guess(deployment: Deployment, count: int, address: str = "192.0.2.1") -> list[tuple[int, str | None]]:
    """Knock with as many unknown keys, one after the other."""
    return [outcome(await knock(deployment, keys.mint().reveal(), address)) for _ in range(count)]


async def test_beyond_so_many_wrong_keys_an_address_costs_no_look_up(deployment: Deployment) -> None:
    ledger = await Watched.within(deployment)
    answers = await guess(deployment, FAILURES + 20)
    assert answers == [(401, "invalid_api_key")] * FAILURES + [TOO_MANY] * 20
    assert ledger.calls["caller"] == FAILURES
    response = await knock(deployment, keys.mint().reveal())
    assert response.headers["retry-after"] == "1"


async def test_wrong_keys_at_once_are_counted_before_they_are_looked_up(deployment: Deployment) -> None:
    ledger = await Watched.within(deployment)
    ledger.held["caller"] = asyncio.Event()
    knocking = [asyncio.create_task(knock(deployment, keys.mint().reveal())) for _ in range(FAILURES + 20)]
    async with asyncio.timeout(20):
        while sum(task.done() for task in knocking) < 20:
            await asyncio.sleep(0.01)
    ledger.held["caller"].set()
    answers = [outcome(await task) for task in knocking]
    assert (answers.count(TOO_MANY), ledger.calls["caller"]) == (20, FAILURES)


async def test_wrong_secrets_of_a_known_id_are_counted_too(deployment: Deployment) -> None:
    ledger = await Watched.within(deployment)
    answers = []
    for _ in range(FAILURES + 1):
        guessed = keys.ApiKey(deployment.owner.key.id, keys.mint().secret)
        answers.append(outcome(await knock(deployment, guessed.reveal())))
    assert answers == [(401, "invalid_api_key")] * FAILURES + [TOO_MANY]
    assert ledger.calls["caller"] == 1


@pytest.mark.parametrize("cache", [5.0, 0.0])
async def test_a_right_key_that_was_seen_before_is_served_from_a_flooding_address(deploy: Deploy, cache: float) -> None:
    """Also where what is known of it is old: a right secret is no guess."""
    deployment = await deploy(caller_cache_s=cache)
    key = deployment.owner.key.reveal()
    assert (await knock(deployment, key)).status_code == 200
    await guess(deployment, FAILURES + 5)
    assert [(await knock(deployment, key)).status_code for _ in range(5)] == [200] * 5


async def test_a_right_key_that_was_not_seen_before_has_to_wait_there_and_nowhere_else(deployment: Deployment) -> None:
    await guess(deployment, FAILURES)
    key = deployment.owner.key.reveal()
    assert outcome(await knock(deployment, key)) == TOO_MANY
    assert (await knock(deployment, key, "192.0.2.2")).status_code == 200
    assert (await knock(deployment, key)).status_code == 200


async def test_right_keys_are_never_counted(deployment: Deployment) -> None:
    owners = [await enrol(deployment.ledger) for _ in range(FAILURES + 5)]
    answers = [await knock(deployment, owner.key.reveal()) for owner in owners]
    assert {answer.status_code for answer in answers} == {200}


async def test_a_network_of_ipv6_is_one_address(deployment: Deployment) -> None:
    for number in range(FAILURES):
        await guess(deployment, 1, f"2001:db8::{number:x}")
    assert await guess(deployment, 1, "2001:db8::ffff:1") == [TOO_MANY]
    assert await guess(deployment, 1, "2001:db8:0:1::1") == [(401, "invalid_api_key")]


async def test_a_ledger_that_is_away_counts_against_nobody(deployment: Deployment) -> None:
    ledger = await Watched.within(deployment)
    ledger.away = {"caller"}
    assert set(await guess(deployment, FAILURES + 20)) == {(503, "ledger_unavailable")}
    ledger.away = set()
    assert (await knock(deployment, deployment.owner.key.reveal())).status_code == 200


# -- refusals by the ledger


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "{}"}])
async def test_a_flood_of_refusals_reaches_the_ledger_a_bounded_number_of_times(
    deploy: Deploy, headers: dict[str, str]
) -> None:
    deployment = await deploy(key_limits=Limits(requests_per_minute=0))
    ledger = await Watched.within(deployment)
    answers = [
        await deployment.chat(headers={name: text.format(number) for name, text in headers.items()})
        for number in range(100)
    ]
    assert {answer.status_code for answer in answers} == {429}
    assert len({answer.json()["error"]["message"] for answer in answers}) == 1
    assert answers[-1].json()["error"]["limit"] == answers[0].json()["error"]["limit"]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
    assert ledger.calls["reserve"] == BURST
    assert ledger.calls["begin"] == ledger.calls["abandon"] == (BURST if headers else 0)


async def test_a_flood_of_repetitions_reaches_the_ledger_a_bounded_number_of_times(deployment: Deployment) -> None:
    ledger = await Watched.within(deployment)
    answers = [await deployment.chat(headers={"Idempotency-Key": "again"}) for _ in range(REPETITIONS + 11)]
    assert [answer.status_code for answer in answers] == [200] * (REPETITIONS + 1) + [429] * 10
    assert outcome(answers[-1]) == (429, "too_many_repetitions")
    assert answers[-1].headers["retry-after"] == "1"
    assert ledger.calls["begin"] == REPETITIONS + 1
    assert (await deployment.chat()).status_code == 200  # what needs no looking up goes on


async def test_a_smaller_request_is_not_refused_for_a_larger_one(deploy: Deploy) -> None:
    deployment = await deploy(key_limits=Limits(tokens_per_minute=500))
    large = [await deployment.chat(max_tokens=1_000) for _ in range(BURST + 10)]
    assert {answer.status_code for answer in large} == {429}
    assert (await deployment.chat()).status_code == 200


async def test_another_key_of_the_account_is_none_the_worse(deploy: Deploy) -> None:
    deployment = await deploy(key_limits=Limits(requests_per_minute=0))
    for _ in range(BURST + 10):
        await deployment.chat()
    other = await enrol(deployment.ledger)
    response = await deployment.client.post("/v1/chat/completions", json=CHAT, headers=other.bearer)
    assert response.status_code == 200
