"""What is refused is refused in OpenAI's envelope, whoever refuses it: the edge, or API Gateway before it."""

from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.integration.aws.deployment import Deployment

CHAT: dict[str, Any] = {"model": "demo", "messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 8}


def ask(client: OpenAI, **changes: Any) -> Any:
    return client.chat.completions.create(**{**CHAT, **changes})


def ask_often(client: OpenAI, times: int) -> None:
    for _ in range(times):
        ask(client)


def test_a_key_that_is_none(cloud: Deployment) -> None:
    with pytest.raises(openai.AuthenticationError) as refusal:
        ask(cloud.client("sk-not-ours"))
    assert refusal.value.code == "invalid_api_key"
    assert cloud.call("GET", "/v1/models").json()["error"]["code"] == "missing_api_key"


def test_a_model_that_is_not_served(cloud: Deployment) -> None:
    with pytest.raises(openai.NotFoundError) as refusal:
        ask(cloud.client(cloud.key()), model="gpt-4o")
    assert refusal.value.code == "model_not_found"


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"temperature": 9}, "temperature"),
        ({"messages": []}, "messages"),
        ({"extra_body": {"top_a": 5}}, "top_a"),
    ],
)
def test_a_bad_parameter_is_named(cloud: Deployment, changes: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as refusal:
        ask(cloud.client(cloud.key()), **changes)
    assert refusal.value.param == param


def test_over_the_budget(cloud: Deployment) -> None:
    client = cloud.client(cloud.key(limits={"monthly_budget_usd": "0.00002"}))
    with pytest.raises(openai.APIStatusError) as refusal:
        ask_often(client, 20)
    assert (refusal.value.status_code, refusal.value.code) == (402, "budget_exceeded")
    assert int(refusal.value.response.headers["retry-after"]) >= 1


def test_over_the_requests_per_minute(cloud: Deployment) -> None:
    client = cloud.client(cloud.key(limits={"requests_per_minute": 1}))
    # A minute may turn between two requests, but not between each of four.
    with pytest.raises(openai.RateLimitError) as refusal:
        ask_often(client, 4)
    headers = refusal.value.response.headers
    assert 1 <= int(headers["retry-after"]) <= 60
    assert (headers["x-ratelimit-limit-requests"], headers["x-ratelimit-remaining-requests"]) == ("1", "0")


def test_a_body_over_the_limit(cloud: Deployment) -> None:
    with pytest.raises(openai.APIStatusError) as refusal:
        ask(cloud.client(cloud.key()), messages=[{"role": "user", "content": "x" * (5 << 20)}])
    assert refusal.value.status_code == 413


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/nowhere", 404),
        ("GET", "/nowhere/at/all", 404),
        ("GET", "/v1", 404),
        ("POST", "/v1/nowhere", 404),
        ("GET", "/v1/chat", 404),
        ("POST", "/v1/chat/completions/more", 404),
        ("GET", "/v1/chat/completions", 405),
        ("DELETE", "/v1/embeddings", 405),
        ("POST", "/v1/models", 405),
        ("PUT", "/health", 405),
    ],
)
def test_no_such_route(cloud: Deployment, method: str, path: str, status: int) -> None:
    answer = cloud.call(method, path)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert ("allow" in answer.headers) == (status == 405)
