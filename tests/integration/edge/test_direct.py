"""Direct delivery: a 307 with a ticket, where it is allowed, safe and of use; else the relay."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import openai
import pytest

from penstock.clock import now_ms
from penstock.ledger import Limits
from penstock.ticket import TicketKeys, hash_body
from tests.integration.edge.conftest import Deploy
from tests.integration.edge.deployment import CHAT, TICKET_KEYS, Deployment
from tests.integration.edge.stand_in import ANSWER, WORDS
from tests.integration.edge.watched import Watched

pytestmark = pytest.mark.anyio

DIRECT = {"Penstock-Delivery": "direct"}
ALLOWED = {"gpu_public_url": "{gpu}"}
LIMITS = Limits(requests_per_minute=100, concurrent_requests=10)


async def test_a_redirect_holds_the_ticket_and_must_not_be_kept(deploy: Deploy) -> None:
    deployment = await deploy(account_limits=LIMITS, **ALLOWED)
    response = await deployment.chat(headers=DIRECT)
    assert response.status_code == 307
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["penstock-delivery"] == "direct"
    assert response.headers["x-ratelimit-remaining-requests"] == "99"
    assert response.content == b""
    location = urlsplit(response.headers["location"])
    assert f"{location.scheme}://{location.netloc}" == deployment.gpu_url
    assert location.path == "/v1/chat/completions"
    (text,) = parse_qs(location.query)["ticket"]
    ticket = TicketKeys.parse(TICKET_KEYS).verify(text, now=now_ms())
    assert ticket.lease.id == response.headers["x-request-id"]
    assert ticket.body_hash == hash_body(response.request.content)
    assert deployment.gpu.requests == 0


@pytest.mark.parametrize("delivery", ["Direct", "DIRECT"])
async def test_the_header_may_be_written_as_one_likes(deploy: Deploy, delivery: str) -> None:
    deployment = await deploy(**ALLOWED)
    assert (await deployment.chat(headers={"Penstock-Delivery": delivery})).status_code == 307


async def test_the_redirect_goes_to_the_models_own_pool(deploy: Deploy) -> None:
    deployment = await deploy(gpu_public_url="https://{model}.gpu.example/base/")
    response = await deployment.chat(headers=DIRECT, model="acme/large")
    assert response.headers["location"].startswith(
        "https://acme%2Flarge.gpu.example/base/v1/chat/completions?ticket=k1."
    )


async def relayed(deployment: Deployment, headers: dict[str, str]) -> bool:
    """Whether a chat was relayed, in what it answers and in what was done."""
    response = await deployment.chat(headers=headers)
    return (response.status_code, response.headers["penstock-delivery"], deployment.gpu.requests) == (200, "relay", 1)


async def test_a_deployment_that_does_not_allow_it_relays(deployment: Deployment) -> None:
    assert await relayed(deployment, DIRECT)


@pytest.mark.parametrize("headers", [{}, {"Penstock-Delivery": "relay"}])
async def test_who_does_not_ask_for_it_is_relayed(deploy: Deploy, headers: dict[str, str]) -> None:
    assert await relayed(await deploy(**ALLOWED), headers)


BY_DEFAULT = {**ALLOWED, "delivery": "direct"}


async def test_a_deployment_may_redirect_unless_asked_not_to(deploy: Deploy) -> None:
    deployment = await deploy(**BY_DEFAULT)
    response = await deployment.chat()
    assert (response.status_code, response.headers["penstock-delivery"]) == (307, "direct")
    assert await relayed(deployment, {"Penstock-Delivery": "relay"})


async def test_a_page_in_a_browser_is_relayed_unless_it_asks(deploy: Deploy) -> None:
    """The GPU process answers no preflight, and a browser would follow the redirect with one."""
    deployment = await deploy(**BY_DEFAULT)
    page = {"Origin": "https://app.example"}
    assert await relayed(deployment, page)
    assert (await deployment.chat(headers={**page, **DIRECT})).status_code == 307


@pytest.mark.parametrize("both", [False, True])
async def test_a_key_that_would_follow_is_relayed_where_nobody_asked(deploy: Deploy, both: bool) -> None:
    deployment = await deploy(**BY_DEFAULT)
    headers = {"x-api-key": deployment.owner.key.reveal(), **(deployment.owner.bearer if both else {})}
    response = await deployment.client.post("/v1/chat/completions", json=CHAT, headers=headers)
    assert (response.status_code, response.headers["penstock-delivery"]) == (200, "relay")


async def test_a_cold_gpu_is_relayed(deploy: Deploy) -> None:
    deployment = await deploy(**ALLOWED)
    deployment.gpu.warm = False
    assert await relayed(deployment, DIRECT)


async def test_no_gpu_is_relayed_and_so_refused(deploy: Deploy, free_port: int) -> None:
    deployment = await deploy(account_limits=LIMITS, gpu_url=f"http://127.0.0.1:{free_port}", **ALLOWED)
    assert (await deployment.chat(headers=DIRECT)).status_code == 503


async def test_an_unknown_delivery_is_refused_by_name(deploy: Deploy) -> None:
    deployment = await deploy(account_limits=LIMITS, **ALLOWED)
    ledger = await Watched.within(deployment)
    response = await deployment.chat(headers={"Penstock-Delivery": "pigeon"})
    assert (response.status_code, response.json()["error"]["param"]) == (400, "Penstock-Delivery")
    assert ledger.calls["reserve"] == 0
    assert {standing.reserved for standing in (await deployment.standings()).values()} == {0}


@pytest.mark.parametrize("both", [False, True])
async def test_a_key_that_would_follow_the_redirect_is_refused(deploy: Deploy, both: bool) -> None:
    """Clients drop Authorization on a redirect to another host, and hand x-api-key on."""
    deployment = await deploy(account_limits=LIMITS, **ALLOWED)
    headers = {"x-api-key": deployment.owner.key.reveal(), **DIRECT, **(deployment.owner.bearer if both else {})}
    response = await deployment.client.post("/v1/chat/completions", json=CHAT, headers=headers)
    assert (response.status_code, response.json()["error"]["param"]) == (400, "Penstock-Delivery")
    assert {standing.reserved for standing in (await deployment.standings()).values()} == {0}


@pytest.fixture
async def official(deploy: Deploy) -> Any:
    """A deployment that allows direct delivery, and the official client which asks for it."""
    deployment = await deploy(**ALLOWED)
    async with openai.AsyncOpenAI(
        base_url=f"{deployment.url}/v1", api_key=deployment.owner.key.reveal(), default_headers=DIRECT, max_retries=0
    ) as client:
        yield deployment, client


async def test_the_official_client_follows_and_keeps_its_key_from_the_gpu(
    official: tuple[Deployment, openai.AsyncOpenAI],
) -> None:
    deployment, client = official
    completion = await client.chat.completions.create(
        model="demo", messages=[{"role": "user", "content": "Hello!"}], max_tokens=16
    )
    assert completion.choices[0].message.content == ANSWER
    (call,) = deployment.gpu.calls
    assert "authorization" not in call.headers
    assert not any(deployment.owner.key.reveal() in value for value in call.headers.values())
    record = await deployment.ledger.record(call.ticket.lease.id)
    assert record is not None
    assert not record.provisional


async def test_the_official_client_streams_from_the_gpu_itself(
    official: tuple[Deployment, openai.AsyncOpenAI],
) -> None:
    deployment, client = official
    stream = await client.chat.completions.create(
        model="demo", messages=[{"role": "user", "content": "Hello!"}], max_tokens=16, stream=True
    )
    words = [chunk.choices[0].delta.content async for chunk in stream if chunk.choices[0].delta.content]
    assert tuple(words) == WORDS
    assert "authorization" not in deployment.gpu.calls[0].headers


async def test_a_ticket_serves_no_other_body(deploy: Deploy) -> None:
    deployment = await deploy(**ALLOWED)
    location = (await deployment.chat(headers=DIRECT)).headers["location"]
    async with httpx2.AsyncClient() as client:
        other = await client.post(location, json={**CHAT, "max_tokens": 1_000})
        same = await client.post(location, content=(await deployment.chat(headers=DIRECT)).request.content)
    assert (other.status_code, same.status_code) == (401, 200)
