"""A Lambda's deadline, on every kind of request: told in time, ended at the GPU, and nothing left behind."""

import asyncio
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from starlette.types import Receive, Scope, Send

from functions.edge import deadline
from functions.edge.deadline import MARGIN_S
from penstock.ledger import Limits
from penstock.schemas.completion import DONE, event
from tests.integration.edge.conftest import Deploy, Logged
from tests.integration.edge.deployment import Deployment
from tests.integration.edge.stand_in import STARTED, WORDS, Call, answer, chunk_of
from tests.integration.edge.watched import Watched

pytestmark = pytest.mark.anyio

LIMITS = Limits(requests_per_minute=100, concurrent_requests=10)
TO_THE_GPU = 3.0  # seconds, in which a request surely gets there; what is to be late is held until it was cut
SHORT = 0.2  # seconds, for one that gets nowhere


def within(deployment: Deployment, seconds: float) -> None:
    """From here on, each request has so many seconds, as the context of its invocation says."""
    stack: Any = deployment.app.middleware_stack

    async def timed(scope: Scope, receive: Receive, send: Send) -> None:
        context = SimpleNamespace(get_remaining_time_in_millis=lambda: int((seconds + MARGIN_S) * 1_000))
        await stack({**scope, "aws.context": context}, receive, send)

    deployment.app.middleware_stack = timed


async def hang(call: Call) -> None:
    """Take the request up, and answer nothing until the caller has gone."""
    await call.claim()
    await call.gone.wait()
    await call.settle()


async def hang_midway(call: Call) -> None:
    """The same, after the first word."""
    await call.claim()
    await call.begin(200, STARTED)
    await call.part(event(chunk_of(call, WORDS[0])))
    await call.gone.wait()
    await call.settle()


async def settled(deployment: Deployment) -> None:
    """Wait until what was used is booked, once, and nothing is reserved any more."""
    async with asyncio.timeout(20):
        while any(record.provisional for record in await deployment.ledger.records()) or not (
            await deployment.ledger.records()
        ):
            await asyncio.sleep(0.01)
    assert len(await deployment.ledger.records()) == 1
    assert {standing.reserved for standing in (await deployment.standings()).values()} == {0}


async def test_in_time_nothing_changes(deploy: Deploy) -> None:
    deployment = await deploy()
    within(deployment, 60)
    assert (await deployment.chat()).status_code == 200
    assert (await deployment.chat(stream=True)).content.endswith(DONE)


async def test_a_whole_answer_is_a_504_and_what_was_used_is_booked(logged: Logged, deploy: Deploy) -> None:
    deployment = await deploy(account_limits=LIMITS)
    within(deployment, TO_THE_GPU)
    deployment.gpu.behave = hang
    response = await deployment.chat()
    assert (response.status_code, response.json()["error"]["code"]) == (504, "deadline_exceeded")
    assert response.json()["error"]["type"] == "server_error"
    assert response.headers["x-should-retry"] == "false"
    assert response.headers["x-request-id"] == deployment.gpu.calls[0].ticket.lease.id
    await asyncio.wait_for(deployment.gpu.calls[0].gone.wait(), 20)
    await settled(deployment)
    (line,) = await logged.wait(1)
    assert (line["status"], line["error"]) == (504, "deadline_exceeded")


@pytest.mark.parametrize("behave", [hang, hang_midway])
async def test_a_stream_ends_with_an_error_event(logged: Logged, deploy: Deploy, behave: Any) -> None:
    """Also where the GPU has not begun: the heartbeats have."""
    deployment = await deploy(account_limits=LIMITS, heartbeat_after_s=0.01, heartbeat_every_s=0.05)
    within(deployment, TO_THE_GPU)
    deployment.gpu.behave = behave
    response = await deployment.chat(stream=True)
    assert response.status_code == 200
    last = response.content.split(b"\n\n")[-2]
    assert orjson.loads(last.removeprefix(b"data: "))["error"]["code"] == "deadline_exceeded"
    assert response.content.count(b'"error"') == 1
    await asyncio.wait_for(deployment.gpu.calls[0].gone.wait(), 20)
    await settled(deployment)
    (line,) = await logged.wait(1)
    assert (line["status"], line["error"]) == (200, "deadline_exceeded")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_cold_model_is_starting_and_not_late(deploy: Deploy, stream: bool) -> None:
    deployment = await deploy(account_limits=LIMITS, heartbeat_after_s=0.01)
    within(deployment, TO_THE_GPU)
    deployment.gpu.proxy = [503] * 100
    response = await deployment.chat(stream=stream)
    if stream:
        error = orjson.loads(response.content.split(b"\n\n")[-2].removeprefix(b"data: "))["error"]
    else:
        assert (response.status_code, response.headers["retry-after"]) == (503, "15")
        error = response.json()["error"]
    assert error["code"] == "model_starting"
    assert {standing.reserved for standing in (await deployment.standings()).values()} == {0}


@pytest.mark.parametrize("stream", [False, True])
async def test_under_an_idempotency_key_a_retry_runs(deploy: Deploy, stream: bool) -> None:
    deployment = await deploy(account_limits=LIMITS)
    stack = deployment.app.middleware_stack
    within(deployment, TO_THE_GPU)
    deployment.gpu.behave = hang_midway if stream else hang
    key = {"Idempotency-Key": "order-66"}
    assert "deadline_exceeded" in (await deployment.chat(headers=key, stream=stream)).text
    deployment.app.middleware_stack = stack
    deployment.gpu.behave = answer
    again = await deployment.chat(headers=key, stream=stream)
    assert again.status_code == 200
    assert "idempotent-replayed" not in again.headers
    assert deployment.gpu.requests == 2


@pytest.mark.parametrize("path", ["/v1/usage", "/v1/models", "/admin/v1/accounts", "/health/ready"])
async def test_every_other_route_is_told_too(deploy: Deploy, path: str) -> None:
    deployment = await deploy()
    within(deployment, SHORT)
    ledger = await Watched.within(deployment)
    ledger.held = {"caller": asyncio.Event(), "schema_version": asyncio.Event()}
    response = await deployment.get(path)
    assert (response.status_code, response.json()["error"]["code"]) == (504, "deadline_exceeded")
    for held in ledger.held.values():
        held.set()


@pytest.mark.parametrize("stream", [False, True])
async def test_a_ledger_that_is_away_keeps_no_one_waiting(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    """Giving the lease back, and the key free, may take longer than is left: the answer goes out all the same."""
    monkeypatch.setattr(deadline, "GRACE_S", 0.3)
    deployment = await deploy(account_limits=LIMITS)
    within(deployment, TO_THE_GPU)
    ledger = await Watched.within(deployment)
    ledger.held = {"release": asyncio.Event(), "abandon": asyncio.Event()}
    deployment.gpu.behave = hang_midway if stream else hang
    response = await deployment.chat(headers={"Idempotency-Key": "order-66"}, stream=stream)
    assert response.status_code == (200 if stream else 504)
    assert response.text.count("deadline_exceeded") == 1
    for held in ledger.held.values():
        held.set()
    async with asyncio.timeout(20):
        while not (ledger.calls["release"] and ledger.calls["abandon"]):
            await asyncio.sleep(0.01)
