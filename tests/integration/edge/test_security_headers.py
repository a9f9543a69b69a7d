"""The security headers on the answers of a served edge: good, bad, streamed, redirected, unknown, crashed."""

from collections.abc import Mapping
from typing import Any

import pytest

from functions.edge.security_headers import ALWAYS
from tests.integration.edge.conftest import Deploy
from tests.integration.edge.deployment import Deployment

pytestmark = pytest.mark.anyio

DIRECT = {"Penstock-Delivery": "direct"}


def missing(headers: Mapping[str, str], **others: str) -> dict[str, Any]:
    """Those that the answer does not have as it should; `others` are expected in their stead, `_` for `-`."""
    expected = {name.lower(): value for name, value in ALWAYS.items()}
    expected |= {name.replace("_", "-"): value for name, value in others.items()}
    return {name: headers.get(name) for name, value in expected.items() if headers.get(name) != value}


async def test_every_answer_has_them(deploy: Deploy, monkeypatch: pytest.MonkeyPatch) -> None:
    deployment = await deploy(gpu_public_url="{gpu}")
    for path in ("/health", "/health/ready", "/openapi.json", "/v1/models", "/v1/usage", "/v1/usage?format=csv"):
        assert not missing((await deployment.get(path)).headers), path
    answers = {
        200: await deployment.chat(),
        307: await deployment.chat(headers=DIRECT),
        400: await deployment.chat(store=True),
        401: await deployment.client.get("/v1/models"),
        404: await deployment.client.get("/nowhere"),
        405: await deployment.client.put("/v1/chat/completions"),
    }
    monkeypatch.setattr(deployment.edge, "models", None)
    answers[500] = await deployment.get("/v1/models")
    for status, response in answers.items():
        assert response.status_code == status
        assert not missing(response.headers), status
        assert "strict-transport-security" not in response.headers  # over http nobody would heed it


async def test_a_stream_is_not_kept_and_the_page_keeps_its_style(deployment: Deployment) -> None:
    stream = await deployment.chat(stream=True)
    assert not missing(stream.headers, cache_control="no-cache")
    assert stream.headers["x-accel-buffering"] == "no"
    page = await deployment.client.get("/docs")
    assert not missing(page.headers, content_security_policy=page.headers["content-security-policy"])
    assert "style-src 'unsafe-inline'" in page.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
