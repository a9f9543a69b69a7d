"""What OpenAI's client raises for each refusal."""

from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.e2e.service import Service

HELLO = [{"role": "user", "content": "Hello!"}]


def ask(client: OpenAI, **changes: Any) -> Any:
    return client.chat.completions.create(**{"model": "demo", "messages": HELLO, "max_tokens": 8, **changes})


def ask_often(client: OpenAI, times: int) -> None:
    for _ in range(times):
        ask(client)


def test_no_key(service: Service) -> None:
    with pytest.raises(openai.AuthenticationError) as refusal:
        ask(service.client(), extra_headers={"Authorization": openai.Omit()})
    assert refusal.value.code == "missing_api_key"


@pytest.mark.parametrize("key", ["sk-not-ours", "ps_nonsense", "ps_AAAAAAAAAAAA_" + "B" * 38])
def test_a_bad_key(service: Service, key: str) -> None:
    with pytest.raises(openai.AuthenticationError) as refusal:
        ask(service.client(key))
    assert refusal.value.code == "invalid_api_key"
    assert key not in str(refusal.value)


def test_a_wrong_secret_for_a_known_key_id(service: Service) -> None:
    # The checksum no longer fits either, so change the secret and let another key lend its form.
    other = service.create_key()
    forged = service.key[:16] + other[16:]
    with pytest.raises(openai.AuthenticationError):
        ask(service.client(forged))


def test_a_revoked_key(service: Service) -> None:
    key = service.create_key()
    ask(service.client(key))
    service.run("keys", "revoke", key.split("_")[1])
    with pytest.raises(openai.AuthenticationError) as refusal:
        ask(service.client(key))
    assert "revoked" in refusal.value.message


def test_a_key_for_other_models(service: Service) -> None:
    with pytest.raises(openai.PermissionDeniedError) as refusal:
        ask(service.client(service.create_key("--models", "another")))
    assert refusal.value.param == "model"


def test_an_unknown_model(service: Service) -> None:
    with pytest.raises(openai.NotFoundError) as refusal:
        ask(service.client(), model="gpt-4o")
    assert refusal.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError):
        service.client().models.retrieve("gpt-4o")


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"n": 9}, "n"),
        ({"top_logprobs": 5}, "top_logprobs"),
        ({"extra_body": {"top_a": 5}}, "top_a"),
        ({"temperature": "hot"}, "temperature"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content[0].type"),
        ({"max_tokens": 5_000}, "max_tokens"),
        ({"messages": [{"role": "user", "content": "word " * 3_000}]}, "messages"),
    ],
)
def test_a_bad_request_names_the_parameter(service: Service, changes: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as refusal:
        ask(service.client(), **changes)
    assert refusal.value.param == param
    assert param in refusal.value.message


def test_a_prompt_over_the_context_says_the_numbers(service: Service) -> None:
    with pytest.raises(openai.BadRequestError) as refusal:
        ask(service.client(), messages=[{"role": "user", "content": "word " * 3_000}])
    assert refusal.value.code == "context_length_exceeded"
    assert "1024" in refusal.value.message.replace(",", "")


def test_a_body_over_the_limit(service: Service) -> None:
    with pytest.raises(openai.APIStatusError) as refusal:
        ask(service.client(), messages=[{"role": "user", "content": "x" * (5 << 20)}])
    assert refusal.value.status_code == 413


def test_over_the_requests_per_minute(service: Service) -> None:
    client = service.client(service.create_key("--requests-per-minute", "1"))
    # A minute may turn between two requests, but not between each of four.
    with pytest.raises(openai.RateLimitError) as refusal:
        ask_often(client, 4)
    assert 1 <= int(refusal.value.response.headers["retry-after"]) <= 60
    assert refusal.value.response.headers["x-ratelimit-remaining-requests"] == "0"
    assert "requests per minute" in refusal.value.message


def test_over_the_tokens_per_minute(service: Service) -> None:
    client = service.client(service.create_key("--tokens-per-minute", "60"))
    with pytest.raises(openai.RateLimitError) as refusal:
        ask_often(client, 8)
    assert 1 <= int(refusal.value.response.headers["retry-after"]) <= 60
    assert "tokens per minute: limit 60, spent" in refusal.value.message


def test_over_the_monthly_budget(service: Service) -> None:
    client = service.client(service.create_key("--monthly-budget", "0.00002"))
    with pytest.raises(openai.APIStatusError) as refusal:
        ask_often(client, 20)
    assert refusal.value.status_code == 402
    assert refusal.value.code == "budget_exceeded"
    assert int(refusal.value.response.headers["retry-after"]) >= 1
    assert "limit $0.00002" in refusal.value.message


def test_over_the_concurrent_requests(endless: Service) -> None:
    model = endless.client().models.list().data[0].id
    client = endless.client(endless.create_key("--concurrent", "1"))
    with client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "go"}], max_tokens=10_000, stream=True, temperature=0
    ) as stream:
        next(iter(stream))
        with pytest.raises(openai.RateLimitError) as refusal:
            ask(client, model=model)
    assert int(refusal.value.response.headers["retry-after"]) >= 1
    assert "concurrent requests: limit 1" in refusal.value.message
