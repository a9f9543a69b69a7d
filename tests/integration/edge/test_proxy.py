"""The edge before GPU processes that stand behind Modal's proxy: what is asked again, and what is told of the rest."""

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr
from starlette.types import Receive, Scope, Send

from functions.edge import proxy
from functions.edge.app import create_app
from penstock.errors import ApiError, Conflict, RateLimited, Unavailable
from penstock.gpu_urls import GpuUrls
from penstock.ledger import Limits
from penstock.models import ConfigError
from penstock.schemas.completion import comment
from tests.integration.edge.conftest import Deploy, Logged
from tests.integration.edge.deployment import Deployment, settings_of
from tests.integration.edge.serving import serving
from tests.integration.edge.stand_in import ANSWER, Call

pytestmark = pytest.mark.anyio

LIMITED = {"account_limits": Limits(requests_per_minute=100, concurrent_requests=10)}
SHORT = {"startup_budget_s": 1, **LIMITED}
KEY, SECRET = "wk-of-the-edge", "ws-that-nobody-else-sees"
CREDENTIALS = {"gpu_key": SecretStr(KEY), "gpu_secret": SecretStr(SECRET)}
TOKEN = {"Modal-Key": KEY, "Modal-Secret": SECRET}
DIRECT = {"Penstock-Delivery": "direct"}
ENDLESS = 10_000


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many tries as ever, in less time."""
    monkeypatch.setattr(proxy, "FIRST_PAUSE", 0.02)
    monkeypatch.setattr(proxy, "LAST_PAUSE", 0.05)


async def nothing_is_reserved(deployment: Deployment) -> bool:
    """Whether every reservation was given back or settled."""
    return {standing.reserved for standing in (await deployment.standings()).values()} == {0}


def told(response: httpx2.Response) -> tuple[int, str, str, str | None]:
    """What the caller is told: the status, the error's type and code, and when to come again."""
    error = response.json()["error"]
    return response.status_code, error["type"], error["code"], response.headers.get("retry-after")


@pytest.mark.parametrize("status", [503, 429])
@pytest.mark.parametrize("stream", [False, True])
async def test_cold_and_full_are_asked_again_under_the_same_lease(
    deployment: Deployment, stream: bool, status: int
) -> None:
    deployment.gpu.proxy = [status] * 8  # more often than a failure would be
    response = await deployment.chat(stream=stream)
    assert response.status_code == 200
    assert deployment.gpu.requests == 9
    (call,) = deployment.gpu.calls
    assert call.ticket.lease.id == response.headers["x-request-id"]


@pytest.mark.parametrize(("status", "code"), [(503, "model_starting"), (429, "queue_full")])
@pytest.mark.parametrize("stream", [False, True])
async def test_what_stays_cold_or_full_is_a_503_once_the_budget_is_spent(
    deploy: Deploy, stream: bool, status: int, code: str
) -> None:
    """Also where every container is full: that is not the caller's rate limit."""
    deployment = await deploy(**SHORT)
    deployment.gpu.proxy = [status] * ENDLESS
    response = await deployment.chat(stream=stream)
    assert told(response) == (503, "server_error", code, "15")
    assert deployment.gpu.requests > proxy.FAILURES
    assert await nothing_is_reserved(deployment)


@pytest.mark.parametrize(("status", "code"), [(503, "model_starting"), (429, "queue_full")])
async def test_a_stream_that_was_begun_with_heartbeats_waits_no_longer(deploy: Deploy, status: int, code: str) -> None:
    deployment = await deploy(**SHORT, heartbeat_after_s=0.02, heartbeat_every_s=0.02)
    deployment.gpu.proxy = [status] * ENDLESS
    async with asyncio.timeout(20):
        response = await deployment.chat(stream=True)
    assert response.status_code == 200
    *beats, last = (part + b"\n\n" for part in response.content.split(b"\n\n")[:-1])
    assert set(beats) == {comment("waiting for the model")}
    assert f'"code":"{code}"'.encode() in last
    assert await nothing_is_reserved(deployment)


@pytest.mark.parametrize(
    "refusal",
    [
        Unavailable("The model's weights cannot be read.", code="model_unreadable"),
        Unavailable("As many requests are being served as may.", code="queue_full"),
        RateLimited("90 requests of this account are waiting.", code="queue_full", headers={"Retry-After": "3"}),
    ],
)
async def test_what_the_gpu_process_says_itself_stands(deploy: Deploy, refusal: ApiError) -> None:
    deployment = await deploy(**LIMITED)
    deployment.gpu.behave = lambda call: call.refuse(refusal)
    response = await deployment.chat()
    assert (response.status_code, response.json()) == (refusal.status, refusal.envelope())
    assert response.headers["retry-after"] == refusal.headers["Retry-After"]
    assert deployment.gpu.requests == 1
    assert await nothing_is_reserved(deployment)


@pytest.mark.parametrize("status", [500, 502, 504])
async def test_a_proxy_that_fails_is_asked_again(deployment: Deployment, status: int) -> None:
    deployment.gpu.proxy = [status, 503, status]
    response = await deployment.chat()
    assert response.json()["choices"][0]["message"]["content"] == ANSWER
    assert deployment.gpu.requests == 4


@pytest.mark.parametrize("status", [500, 502, 504])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_proxy_that_goes_on_failing_is_given_up(deploy: Deploy, stream: bool, status: int) -> None:
    deployment = await deploy(**LIMITED)
    deployment.gpu.proxy = [status] * ENDLESS
    response = await deployment.chat(stream=stream)
    assert told(response) == (502, "server_error", "upstream_error", None)
    assert deployment.gpu.requests == proxy.FAILURES
    assert await nothing_is_reserved(deployment)


async def test_a_request_that_was_taken_up_before_the_proxy_failed_runs_once(deploy: Deploy) -> None:
    deployment = await deploy(**LIMITED)

    async def taken_up(call: Call) -> None:
        if len(deployment.gpu.calls) == 1:
            await call.claim()
            await call.respond(502, {"content-type": "text/html"}, b"<h1>Bad gateway</h1>")
        else:
            await call.refuse(Conflict("The ticket was used before.", code="ticket_used"))

    deployment.gpu.behave = taken_up
    response = await deployment.chat()
    assert told(response) == (503, "server_error", "service_unavailable", "5")
    assert deployment.gpu.requests == 2
    assert not await nothing_is_reserved(deployment)  # the GPU process holds it


@pytest.mark.parametrize("status", [204, 303, 400, 404, 408, 413, 501])
async def test_what_else_a_proxy_says_is_a_502_at_once(deploy: Deploy, status: int) -> None:
    deployment = await deploy(**LIMITED)
    deployment.gpu.proxy = [status]
    response = await deployment.chat()
    assert told(response) == (502, "server_error", "upstream_error", None)
    assert f"status {status}" in response.json()["error"]["message"]
    assert deployment.gpu.requests == 1
    assert await nothing_is_reserved(deployment)


async def test_the_edge_shows_its_credentials_to_the_proxy(deploy: Deploy) -> None:
    deployment = await deploy(**CREDENTIALS)
    deployment.gpu.asks_for = TOKEN
    response = await deployment.chat()
    assert response.status_code == 200
    assert {name: deployment.gpu.calls[0].headers[name] for name in TOKEN} == TOKEN
    assert not {KEY, SECRET} & set(response.headers.values())


async def test_a_callers_own_credentials_open_no_proxy(deploy: Deploy) -> None:
    deployment = await deploy()
    deployment.gpu.asks_for = TOKEN
    assert (await deployment.chat(headers=TOKEN)).status_code == 502


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("stream", [False, True])
async def test_credentials_that_the_proxy_refuses_are_ours_to_mend(
    logged: Logged, deploy: Deploy, stream: bool, status: int
) -> None:
    deployment = await deploy(**LIMITED, **CREDENTIALS)
    deployment.gpu.proxy = [status]
    response = await deployment.chat(stream=stream)
    assert told(response) == (502, "server_error", "gpu_credentials_refused", None)
    assert deployment.gpu.requests == 1
    assert await nothing_is_reserved(deployment)
    error, request = await logged.wait(2)
    assert (error["level"], error["event"], error["status"]) == ("error", "gpu_credentials_refused", status)
    assert error["settings"] == "PENSTOCK_GPU_KEY, PENSTOCK_GPU_SECRET"
    assert error["request_id"] == request["request_id"]
    assert KEY not in logged.text
    assert SECRET not in logged.text


@pytest.mark.parametrize("right", [True, False])
async def test_a_warm_gpu_is_found_with_the_credentials_and_clients_get_none(
    logged: Logged, deploy: Deploy, right: bool
) -> None:
    deployment = await deploy(**CREDENTIALS, gpu_public_url="https://gpu.example")
    deployment.gpu.asks_for = TOKEN if right else {**TOKEN, "Modal-Key": "another"}
    response = await deployment.chat(headers=DIRECT)
    assert response.status_code == (307 if right else 502)
    assert deployment.gpu.looked_at == 1
    assert deployment.gpu.requests == (0 if right else 1)
    sent = f"{response.headers} {response.text}"
    assert KEY not in sent
    assert SECRET not in sent
    await logged.wait(1 if right else 3)
    assert SECRET not in logged.text


async def test_credentials_follow_no_redirect(deploy: Deploy) -> None:
    seen: list[bytes] = []

    async def away(scope: Scope, _: Receive, send: Send) -> None:
        seen.extend(name for name, _ in scope["headers"])
        location = [(b"location", b"/elsewhere"), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 307, "headers": location})
        await send({"type": "http.response.body", "body": b""})

    async with serving(away) as elsewhere:
        deployment = await deploy(**CREDENTIALS, gpu_url=elsewhere, gpu_public_url="https://gpu.example")
        assert (await deployment.chat(headers=DIRECT)).status_code == 502
    assert seen.count(b"modal-secret") == 2  # of the look and of the request, each once


async def test_each_model_is_found_at_its_own_url(deploy: Deploy) -> None:
    deployment = await deploy()
    deployment.edge.gpu = GpuUrls(None, {"demo": f"{deployment.gpu_url}/a", "acme/large": f"{deployment.gpu_url}/b/"})
    for model in ("small", "acme/large"):
        assert (await deployment.chat(model=model)).status_code == 200
    assert [call.path for call in deployment.gpu.calls] == ["/a/v1/chat/completions", "/b/v1/chat/completions"]


async def test_a_redirect_leads_to_the_models_own_public_url(deploy: Deploy) -> None:
    public = '{"demo":"https://a.example","acme/large":"https://b.example/","unpriced":"https://c.example",'
    deployment = await deploy(gpu_public_url=public + '"vectors":"https://d.example"}')
    location = (await deployment.chat(headers=DIRECT, model="acme/large")).headers["location"]
    assert location.startswith("https://b.example/v1/chat/completions?ticket=")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"gpu_url": '{"demo": "https://a.example"}'}, r"^PENSTOCK_GPU_URL: has no URL for the model 'acme/large'$"),
        (
            {"gpu_public_url": '{"demo": "https://a.example"}'},
            r"^PENSTOCK_GPU_PUBLIC_URL: has no URL for the model 'acme/large'$",
        ),
        (
            {"gpu_url": "https://{model}.example", "gpu_public_url": "https://{model}.EXAMPLE:443/", **CREDENTIALS},
            r"^PENSTOCK_GPU_PUBLIC_URL: its host asks for PENSTOCK_GPU_KEY, .* \(delivery = \"direct\"\)",
        ),
    ],
)
async def test_urls_that_cannot_work_are_an_error_at_start(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    settings = settings_of(tmp_path, "https://gpu.example").model_copy(update=changes)
    with pytest.raises(ConfigError, match=said) as caught:
        create_app(settings)
    assert "\n" not in str(caught.value)
