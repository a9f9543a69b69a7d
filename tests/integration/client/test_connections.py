"""Connections that break, that are left, that are kept, and that lead to the GPU itself."""

import asyncio
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest

from penstock.client import AsyncPenstock, ConnectionFailed, async_http_caller
from penstock.client.async_http_caller import AsyncHttpCaller
from penstock.client.http import Endpoint
from penstock.schemas.completion import event
from tests.integration.client.conftest import Connect
from tests.integration.edge.conftest import Deploy
from tests.integration.edge.deployment import CHAT, EMBEDDING, Deployment
from tests.integration.edge.stand_in import ANSWER, STARTED, WORDS, Call, answer, chunk_of
from tests.servers.faults import Fault, Faults
from tests.servers.proxy import Proxy

pytestmark = pytest.mark.anyio

CREATE = "chat.completions.create"
PATIENCE = 20  # seconds


class LosesFirst(Faults):
    """The first answer is lost on its way back; the others arrive."""

    def __init__(self) -> None:
        super().__init__(seed=0)
        self.lost = 0

    def choose(self, operation: str) -> Fault | None:
        """What befalls the next request."""
        if self.lost:
            return None
        self.lost += 1
        return Fault.ANSWER_LOST


async def records(deployment: Deployment) -> list[Any]:
    """What was booked."""
    return list(await deployment.ledger.records())


@pytest.mark.parametrize(("method", "request_"), [(CREATE, CHAT), ("embeddings.create", EMBEDDING)])
async def test_an_answer_that_was_lost_is_given_again_and_paid_for_once(
    deployment: Deployment, connect: Connect, method: str, request_: dict[str, Any]
) -> None:
    with Proxy(deployment.url, LosesFirst()) as proxy:
        got = await connect(deployment, base_url=f"{proxy.url}/v1").call(method, **request_)
    assert got.reply.retries == 1
    assert got.reply.headers["idempotent-replayed"] == "true"
    assert deployment.gpu.requests == 1
    assert len(await records(deployment)) == 1


async def test_without_retries_a_lost_answer_is_an_error(deployment: Deployment, connect: Connect) -> None:
    with Proxy(deployment.url, LosesFirst()) as proxy, pytest.raises(ConnectionFailed) as failure:
        await connect(deployment, base_url=f"{proxy.url}/v1", max_retries=0).call(CREATE, **CHAT)
    assert failure.value.sent
    assert "idempotency-key" not in deployment.gpu.calls[0].headers


class Dropped(httpx2.AsyncHTTPTransport):
    """The first request's connection breaks once `when` is set."""

    def __init__(self, when: asyncio.Event) -> None:
        super().__init__()
        self._when: asyncio.Event | None = when
        self.statuses: list[int] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send the request."""
        when, self._when = self._when, None
        if when is None:
            response = await super().handle_async_request(request)
            self.statuses.append(response.status_code)
            return response
        sending = asyncio.create_task(super().handle_async_request(request))
        await asyncio.wait_for(when.wait(), PATIENCE)
        sending.cancel()
        raise httpx2.ReadError("the connection was dropped")


async def test_an_answer_that_is_still_on_its_way_is_waited_for(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = asyncio.Event()

    async def when_told(call: Call) -> None:
        await asyncio.wait_for(go.wait(), PATIENCE)
        await answer(call)

    async def pause(_: float) -> None:
        """Let the answer be made, once the API has said three times that it is not."""
        if transport.statuses.count(409) == 3:
            go.set()
            async with asyncio.timeout(PATIENCE):
                while not await records(deployment):
                    await asyncio.sleep(0.01)

    monkeypatch.setattr(async_http_caller, "asyncio", SimpleNamespace(sleep=pause))
    deployment.gpu.behave = when_told
    transport = Dropped(deployment.gpu.called)
    endpoint = Endpoint(f"{deployment.url}/v1", deployment.owner.key.reveal(), max_retries=1)
    async with AsyncPenstock(caller=AsyncHttpCaller(endpoint, transport)) as client:
        got = await client.chat.completions.create(**CHAT)
    assert transport.statuses[:3] == [409, 409, 409]
    assert transport.statuses[-1] == 200
    assert got.choices[0].message.content == ANSWER
    assert got.reply.retries == 1
    assert (deployment.gpu.requests, len(await records(deployment))) == (1, 1)


async def test_a_stream_that_is_left_ends_at_the_gpu(deployment: Deployment, connect: Connect) -> None:
    async def endless(call: Call) -> None:
        await call.claim()
        await call.begin(200, STARTED)
        await call.part(event(chunk_of(call, "On and ")))
        await asyncio.wait_for(call.gone.wait(), PATIENCE)

    deployment.gpu.behave = endless
    either = connect(deployment)
    for _ in range(2):
        stream = await either.call(CREATE, **CHAT, stream=True)
        await either.first(stream)
        await either.leave(stream)
        await asyncio.wait_for(deployment.gpu.calls[-1].gone.wait(), PATIENCE)


async def test_a_connection_is_used_for_the_next_stream(deployment: Deployment) -> None:
    async with AsyncPenstock(f"{deployment.url}/v1", deployment.owner.key.reveal()) as client:
        for _ in range(3):
            stream = await client.chat.completions.create(**CHAT, stream=True)
            assert len([chunk async for chunk in stream]) == len(WORDS) + 1
        caller = client._caller
        assert isinstance(caller, AsyncHttpCaller)
        assert len(caller._http._transport._pool.connections) == 1  # type: ignore[attr-defined]


async def test_many_at_once(deployment: Deployment, connect: Connect) -> None:
    either = connect(deployment)
    answers = await asyncio.gather(*(either.call(CREATE, **CHAT) for _ in range(20)))
    assert len({got.request_id for got in answers}) == 20
    assert len(await records(deployment)) == 20


@pytest.mark.parametrize("stream", [False, True])
async def test_direct_delivery(deploy: Deploy, connect: Connect, stream: bool) -> None:
    deployment = await deploy(gpu_public_url="{gpu}")
    either = connect(deployment, delivery="direct")
    if stream:
        chunks = await either.chunks(CREATE, **CHAT)
        assert tuple(text for chunk in chunks if (text := chunk.choices[0].delta.content)) == WORDS
    else:
        assert (await either.call(CREATE, **CHAT)).choices[0].message.content == ANSWER
    (call,) = deployment.gpu.calls
    assert call.headers["user-agent"].startswith("penstock/")
    assert "authorization" not in call.headers
    assert not any(deployment.owner.key.reveal() in value for value in call.headers.values())
    assert len(await records(deployment)) == 1


async def test_a_deployment_that_does_not_deliver_directly_relays(deployment: Deployment, connect: Connect) -> None:
    got = await connect(deployment).call(CREATE, **CHAT, delivery="direct")
    assert got.reply.headers["penstock-delivery"] == "relay"
