"""The log of a session of requests, good and bad: JSON with its fields, and nothing that is nobody's business."""

import logging
import re
from typing import Any

import pytest

from functions.edge import relayed_stream
from penstock import keys
from penstock.errors import BadRequest
from penstock.ledger import Limits
from penstock.schemas.completion import event
from penstock.ticket import TicketKeys
from tests.integration.edge.conftest import Deploy, Logged
from tests.integration.edge.deployment import Deployment
from tests.integration.edge.stand_in import ANSWER, JSON, STARTED, WORDS, Call, answer, chunk_of

pytestmark = pytest.mark.anyio

SECRET = "xyloprompt"  # in every prompt, path and header that the test sends; a word of nobody's code
TICKET = re.compile(r"k1\.[A-Za-z0-9_-]{20,}")
KEY = re.compile(r"ps_[0-9A-Za-z]{12}_[0-9A-Za-z]{10,}")


async def _half(call: Call) -> None:
    await call.begin(200, STARTED)
    await call.part(event(chunk_of(call, WORDS[0])))


async def _refuse(call: Call) -> None:
    await call.refuse(BadRequest(f"messages: {SECRET}", param=SECRET, code="context_length_exceeded"))


async def _page(call: Call) -> None:
    await call.respond(500, JSON, SECRET.encode())


async def session(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests of every kind, each with the secret word wherever a caller may put one."""
    prompt: dict[str, Any] = {"messages": [{"role": "user", "content": f"My {SECRET}."}]}
    headers = {"X-Something": SECRET, "Cookie": f"a={SECRET}", "User-Agent": SECRET}
    for behave in (answer, _half, _refuse, _page):
        deployment.gpu.behave = behave
        for stream in (False, True):
            await deployment.chat(headers=headers, stream=stream, **prompt)
    deployment.gpu.behave = answer
    await deployment.chat(headers={"Penstock-Delivery": "direct"}, **prompt)
    await deployment.chat(headers={"Penstock-Delivery": SECRET}, **prompt)
    for _ in range(2):
        await deployment.chat(headers={"Idempotency-Key": SECRET}, **prompt)
    await deployment.chat(user=SECRET, model=SECRET)
    await deployment.chat(None, **{SECRET: 1})
    await deployment.chat(tools=[{"name": SECRET}])
    await deployment.chat(messages=[{"role": "user", SECRET: SECRET}])
    await deployment.client.post("/v1/chat/completions", content=SECRET, headers=deployment.owner.bearer)
    await deployment.client.get(f"/{SECRET}?{SECRET}={SECRET}")
    await deployment.get(f"/v1/models/{SECRET}")
    await deployment.get(f"/v1/usage?since={SECRET}")
    await deployment.client.get("/v1/models", headers={"x-api-key": keys.mint().reveal()})
    await deployment.client.get("/v1/models", headers={"Authorization": f"Bearer {SECRET}"})
    await deployment.client.get("/health", headers={"x-request-id": f"{SECRET} with spaces"})
    await crashes(deployment, monkeypatch, prompt)


async def crashes(deployment: Deployment, monkeypatch: pytest.MonkeyPatch, prompt: dict[str, Any]) -> None:
    """Unexpected exceptions, before and within an answer, whose text holds the secret word."""

    def fail(*_: Any) -> Any:
        raise RuntimeError(f"unexpected: {SECRET}")

    with monkeypatch.context() as patch:
        patch.setattr(TicketKeys, "sign", fail)
        assert (await deployment.chat(**prompt)).status_code == 500
    with monkeypatch.context() as patch:
        patch.setattr(relayed_stream, "whole_events", fail)
        with pytest.raises(Exception, match="incomplete"):
            await deployment.chat(stream=True, **prompt)


async def test_nothing_that_is_logged_holds_a_secret(
    deploy: Deploy, logged: Logged, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    # The test's own client tells what it sends.
    for name in ("httpx2", "httpcore2", "asyncio"):
        caplog.set_level(logging.WARNING, logger=name)
    deployment = await deploy(account_limits=Limits(requests_per_minute=1_000), gpu_public_url="{gpu}")
    await session(deployment, monkeypatch)
    lines = await logged.wait(25)
    everything = logged.text + caplog.text
    assert SECRET not in everything
    assert not any(word.strip() in everything for word in (ANSWER, "slowly"))
    assert not KEY.search(everything)
    assert deployment.owner.key.secret.get_secret_value() not in everything
    assert not TICKET.search(everything)
    assert {line["crash"] for line in lines if "crash" in line} == {"RuntimeError"}
    assert {line["status"] for line in lines} >= {200, 307, 400, 401, 404, 500, 502}


REQUEST_FIELDS = {
    "account",
    "client_request_id",
    "delivery",
    "duration_ms",
    "event",
    "key",
    "level",
    "method",
    "model",
    "process",
    "request_id",
    "reserved_tokens",
    "route",
    "status",
    "stream",
    "timestamp",
}


async def test_a_line_says_what_became_of_a_request(logged: Logged, deploy: Deploy) -> None:
    deployment = await deploy()
    response = await deployment.chat(headers={"x-request-id": "mine-1"})
    (line,) = await logged.wait(1)
    assert line.keys() == REQUEST_FIELDS
    assert line["request_id"] == response.headers["x-request-id"]
    assert line["client_request_id"] == response.headers["x-client-request-id"] == "mine-1"
    assert (line["route"], line["method"], line["status"]) == ("/v1/chat/completions", "POST", 200)
    assert (line["key"], line["account"]) == (deployment.owner.key.id, deployment.owner.caller.account.id)
    assert (line["model"], line["stream"], line["delivery"], line["process"]) == ("demo", False, "relay", "edge")
    assert line["reserved_tokens"] == deployment.gpu.calls[0].ticket.lease.bound.tokens


async def test_a_line_says_the_kind_of_error(logged: Logged, deploy: Deploy) -> None:
    deployment = await deploy()
    await deployment.chat(store=True)
    await deployment.get("/v1/models/nope")
    await deployment.client.get("/nowhere")
    refused, unknown, unmatched = await logged.wait(3)
    assert (refused["error"], refused["error_type"]) == ("unsupported_parameter", "invalid_request_error")
    assert (unknown["error"], unknown["route"]) == ("model_not_found", "/v1/models/{model:path}")
    assert (unmatched["error"], unmatched["route"]) == ("not_found", "unmatched")


async def test_a_stream_that_broke_off_is_logged_as_such(logged: Logged, deploy: Deploy) -> None:
    deployment = await deploy()
    deployment.gpu.behave = _half
    await deployment.chat(stream=True)
    (line,) = await logged.wait(1)
    assert (line["status"], line["error"], line["stream"]) == (200, "upstream_error", True)
