"""What goes with an answer through API Gateway: request ids, what browsers are told, and CORS."""

import pytest

from tests.integration.aws.conftest import ORIGIN
from tests.integration.aws.deployment import Deployment

CHAT = {"model": "demo", "messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 4}


def test_an_answer_has_an_id_of_its_own_and_gives_the_callers_back(cloud: Deployment) -> None:
    key = cloud.key()
    sent = {"X-Request-Id": "mine"}
    first, second = (cloud.call("POST", "/v1/chat/completions", key, json=CHAT, headers=sent) for _ in range(2))
    ids = {answer.headers["x-request-id"] for answer in (first, second)}
    assert len(ids) == 2
    assert all(one.startswith("req_") for one in ids)
    assert first.headers["x-client-request-id"] == "mine"


@pytest.mark.parametrize("path", ["/health", "/v1/models", "/nowhere"])
def test_browsers_are_told_what_an_answer_is_not_for(cloud: Deployment, path: str) -> None:
    headers = cloud.call("GET", path).headers
    assert headers["cache-control"] == "no-store"
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/v1/usage"])
def test_a_page_of_the_origin_may_call_and_no_other(cloud: Deployment, path: str) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    allowed = cloud.call("OPTIONS", path, headers={**asked, "Origin": ORIGIN})
    assert allowed.status_code == 200, allowed.text
    assert allowed.headers["access-control-allow-origin"] == ORIGIN
    assert "POST" in allowed.headers["access-control-allow-methods"]
    refused = cloud.call("OPTIONS", path, headers={**asked, "Origin": "https://elsewhere.example"})
    assert "access-control-allow-origin" not in refused.headers


def test_an_error_can_be_read_by_the_page(cloud: Deployment) -> None:
    answer = cloud.call("GET", "/v1/models", "sk-not-ours", headers={"Origin": ORIGIN})
    assert answer.status_code == 401
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "x-request-id" in answer.headers["access-control-expose-headers"].lower()
