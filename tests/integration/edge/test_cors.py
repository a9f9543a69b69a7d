"""What a page of another site may do: by setting, without a key in the preflight, and with errors it can read."""

import httpx2
import pytest

from functions.edge.cors import EXPOSED_HEADERS, REQUEST_HEADERS
from tests.integration.edge.conftest import Deploy
from tests.integration.edge.deployment import Deployment

pytestmark = pytest.mark.anyio

PAGE = "https://app.example"
ALLOWED = {"cors_origins": f"{PAGE}, http://localhost:5173"}
# What OpenAI's JavaScript client sends from a browser (openai-node 6, `getPlatformHeaders` and `buildHeaders`).
OPENAIS = (
    "authorization,content-type,user-agent,x-stainless-arch,x-stainless-lang,x-stainless-os,"
    "x-stainless-package-version,x-stainless-retry-count,x-stainless-runtime,x-stainless-runtime-version,"
    "x-stainless-timeout"
)


async def preflight(deployment: Deployment, headers: str = OPENAIS, **changes: str) -> httpx2.Response:
    """Ask for the chat route as a browser does before it sends a request."""
    asked = {"Origin": PAGE, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": headers}
    return await deployment.client.options("/v1/chat/completions", headers={**asked, **changes})


async def test_a_preflight_needs_no_key(deploy: Deploy) -> None:
    deployment = await deploy(**ALLOWED)
    response = await preflight(deployment)
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == PAGE
    assert "POST" in response.headers["access-control-allow-methods"]
    allowed = response.headers["access-control-allow-headers"].lower().split(", ")
    assert {name.lower() for name in REQUEST_HEADERS} <= set(allowed)
    assert "access-control-allow-credentials" not in response.headers
    assert response.headers["x-request-id"].startswith("req_")
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("headers", "changes"),
    [
        (OPENAIS, {"Origin": "https://other.example"}),
        (OPENAIS, {"Origin": f"{PAGE}.evil.example"}),
        (OPENAIS, {"Access-Control-Request-Method": "TRACE"}),
        ("x-anything", {}),
    ],
)
async def test_what_is_not_allowed_is_refused(deploy: Deploy, headers: str, changes: dict[str, str]) -> None:
    assert (await preflight(await deploy(**ALLOWED), headers, **changes)).status_code == 400


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_can_be_read_with_its_headers(deploy: Deploy, stream: bool) -> None:
    deployment = await deploy(**ALLOWED)
    response = await deployment.chat(headers={"Origin": PAGE}, stream=stream)
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == PAGE
    assert "Origin" in response.headers["vary"]
    exposed = response.headers["access-control-expose-headers"].split(", ")
    assert set(EXPOSED_HEADERS) == set(exposed)
    assert {"x-request-id", "Retry-After", "Penstock-Delivery", "x-ratelimit-remaining-tokens"} <= set(exposed)


async def test_an_error_can_be_read_too(deploy: Deploy, monkeypatch: pytest.MonkeyPatch) -> None:
    deployment = await deploy(**ALLOWED)
    answers = {
        401: await deployment.client.get("/v1/models", headers={"Origin": PAGE}),
        404: await deployment.client.get("/nowhere", headers={"Origin": PAGE}),
    }
    monkeypatch.setattr(deployment.edge, "models", None)  # a crash: the boundary answers
    answers[500] = await deployment.client.get("/v1/models", headers={"Origin": PAGE, **deployment.owner.bearer})
    for status, response in answers.items():
        assert response.status_code == status
        assert response.headers["access-control-allow-origin"] == PAGE, status


async def test_another_site_learns_nothing_of_who_is_allowed(deploy: Deploy) -> None:
    deployment = await deploy(**ALLOWED)
    response = await deployment.chat(headers={"Origin": "https://other.example"})
    assert response.status_code == 200
    assert "access-control-allow-origin" not in response.headers


async def test_any_site_may_be_allowed(deploy: Deploy) -> None:
    deployment = await deploy(cors_origins="*")
    assert (await preflight(deployment)).headers["access-control-allow-origin"] == "*"
    assert (await deployment.chat(headers={"Origin": PAGE})).headers["access-control-allow-origin"] == "*"


async def test_without_the_setting_there_is_no_cors(deployment: Deployment) -> None:
    refused = await preflight(deployment)
    assert refused.status_code == 405
    response = await deployment.chat(headers={"Origin": PAGE})
    for answer in (refused, response):
        assert not [name for name in answer.headers if name.startswith("access-control-")]
