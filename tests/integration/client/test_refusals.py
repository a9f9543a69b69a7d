"""What the edge refuses, and how the client says it: with the numbers, and without asking again in vain."""

import pytest

from penstock.client import (
    BadRequest,
    BodyTooLarge,
    BudgetExceeded,
    ConnectionFailed,
    NotFound,
    RateLimited,
    ServerError,
    StatusError,
    Unauthenticated,
    Unavailable,
    Unprocessable,
)
from penstock.errors import RateLimited as QueueFull
from penstock.ledger import Limits
from penstock.schemas.completion import event
from tests.integration.client.conftest import Connect
from tests.integration.edge.conftest import Deploy
from tests.integration.edge.deployment import CHAT, Deployment
from tests.integration.edge.stand_in import STARTED, Call, answer, chunk_of

pytestmark = pytest.mark.anyio

CREATE = "chat.completions.create"


async def test_a_bad_request_names_the_parameter(deployment: Deployment, connect: Connect) -> None:
    with pytest.raises(BadRequest) as refusal:
        await connect(deployment).call(CREATE, **CHAT, temperature=3)
    assert (refusal.value.status, refusal.value.param) == (400, "temperature")
    assert refusal.value.request_id


async def test_a_key_that_opens_nothing(deployment: Deployment, connect: Connect) -> None:
    with pytest.raises(Unauthenticated) as refusal:
        await connect(deployment, api_key="ps_nonsense").call("models.list")
    assert refusal.value.code == "invalid_api_key"


async def test_what_is_not_there(deployment: Deployment, connect: Connect) -> None:
    either = connect(deployment)
    with pytest.raises(NotFound, match="does not exist"):
        await either.call("models.retrieve", "gpt-4o")
    with pytest.raises(NotFound) as refusal:
        await either.call(CREATE, **{**CHAT, "model": "gpt-4o"})
    assert refusal.value.code == "model_not_found"
    with pytest.raises(NotFound):
        await connect(deployment, base_url=f"{deployment.url}/v2").call("models.list")


async def test_a_spent_budget_is_said_in_numbers_and_not_asked_for_again(deploy: Deploy, connect: Connect) -> None:
    deployment = await deploy(account_limits=Limits(monthly_budget=1))
    with pytest.raises(BudgetExceeded) as refusal:
        await connect(deployment).call(CREATE, **CHAT)
    assert refusal.value.limit is not None
    assert refusal.value.limit["name"] == "monthly_budget"
    assert refusal.value.limit["limit"] == 1
    assert refusal.value.limit["requested"] > 1
    assert refusal.value.limit["remaining_usd"] == "0.000000001"


async def test_a_limit_per_minute_is_said_in_numbers(deploy: Deploy, connect: Connect) -> None:
    deployment = await deploy(key_limits=Limits(requests_per_minute=1))
    either = connect(deployment, max_retries=0)
    await either.call(CREATE, **CHAT)
    with pytest.raises(RateLimited) as refusal:
        await either.call(CREATE, **CHAT)
    limit = refusal.value.limit
    assert limit is not None
    assert (limit["name"], limit["scope"], limit["limit"], limit["remaining"]) == ("requests_per_minute", "key", 1, 0)
    assert refusal.value.retry_after == limit["retry_after_s"] >= 1
    assert refusal.value.headers["x-ratelimit-remaining-requests"] == "0"


async def test_what_can_never_fit_is_not_asked_for_again(deploy: Deploy, connect: Connect) -> None:
    deployment = await deploy(key_limits=Limits(tokens_per_minute=1))
    with pytest.raises(RateLimited) as refusal:
        await connect(deployment, max_retries=5).call(CREATE, **CHAT)
    assert refusal.value.headers["x-should-retry"] == "false"


async def test_a_refusal_that_passes_is_asked_for_again(deployment: Deployment, connect: Connect) -> None:
    async def full_once(call: Call) -> None:
        deployment.gpu.behave = answer
        await call.refuse(QueueFull("Full.", code="queue_full", headers={"Retry-After": "0"}))

    either = connect(deployment)
    for stream in (False, True):
        deployment.gpu.behave = full_once
        got = await either.call(CREATE, **CHAT, stream=stream)
        assert got.reply.retries == 1
        if stream:
            await either.leave(got)


async def test_a_key_for_another_request(deployment: Deployment, connect: Connect) -> None:
    either = connect(deployment)
    await either.call(CREATE, **CHAT, idempotency_key="order-66")
    with pytest.raises(Unprocessable) as refusal:
        await either.call(CREATE, **CHAT, idempotency_key="order-66", seed=7)
    assert refusal.value.code == "idempotency_key_reused"


async def test_a_body_over_the_limit(deploy: Deploy, connect: Connect) -> None:
    deployment = await deploy(max_body_bytes=100)
    with pytest.raises(BodyTooLarge):
        await connect(deployment).call(CREATE, **{**CHAT, "user": "x" * 200})


async def test_a_gpu_that_is_not_there(deploy: Deploy, connect: Connect, free_port: int) -> None:
    deployment = await deploy(gpu_url=f"http://127.0.0.1:{free_port}")
    with pytest.raises(Unavailable) as refusal:
        await connect(deployment, max_retries=0).call(CREATE, **CHAT, stream=True)
    assert refusal.value.retry_after == 5


async def test_an_api_that_is_not_there(deployment: Deployment, connect: Connect, free_port: int) -> None:
    url = f"http://127.0.0.1:{free_port}"
    with pytest.raises(ConnectionFailed, match=f"cannot reach {url}") as failure:
        await connect(deployment, base_url=f"{url}/v1", max_retries=1).call("models.list")
    assert not failure.value.sent


async def test_an_answer_that_breaks_off_is_an_error_of_its_class(deployment: Deployment, connect: Connect) -> None:
    async def break_off(call: Call) -> None:
        await call.claim()
        await call.begin(200, STARTED)
        await call.part(event(chunk_of(call, "Half ")))
        await call.wait_until_heard()

    deployment.gpu.behave = break_off
    either = connect(deployment)
    stream = await either.call(CREATE, **CHAT, stream=True)
    assert (await either.first(stream)).choices[0].delta.content == "Half "
    deployment.gpu.calls[0].heard.set()
    with pytest.raises(ServerError) as failure:
        await either.first(stream)
    assert isinstance(failure.value, StatusError)
    assert (failure.value.status, failure.value.code) == (None, "upstream_error")
    assert failure.value.request_id == deployment.gpu.calls[0].ticket.lease.id
