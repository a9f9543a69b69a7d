"""What OpenAI's client gets through API Gateway and Lambda, and what the ledger has of it."""

from typing import Any

import httpx2
import pytest

from penstock.ledger import UsageRecord
from tests.e2e.service import on_ledger
from tests.integration.aws.deployment import Deployment

HELLO: Any = [{"role": "user", "content": "Hello!"}]
WHOLE: dict[str, Any] = {"model": "demo", "messages": HELLO, "temperature": 0}


def booked(cloud: Deployment, request_id: str) -> UsageRecord:
    """A request's record."""
    record = on_ledger(cloud.ledger, lambda ledger: ledger.record(request_id))
    assert record is not None
    assert not record.provisional
    return record


def test_a_chat_is_answered_and_booked_as_it_is_counted(cloud: Deployment) -> None:
    raw = cloud.client(cloud.key()).chat.completions.with_raw_response.create(**WHOLE)
    answer = raw.parse()
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    record = booked(cloud, raw.headers["x-request-id"])
    assert record.usage.prompt_tokens == answer.usage.prompt_tokens > 0
    assert record.usage.completion_tokens == answer.usage.completion_tokens > 0


def test_a_stream_is_the_same_answer_all_of_it_at_once(cloud: Deployment) -> None:
    """Mangum and the emulator buffer: the events are what they were, and their times are lost."""
    client = cloud.client(cloud.key())
    whole = client.chat.completions.create(**WHOLE)
    stream = client.chat.completions.create(**WHOLE, stream=True, stream_options={"include_usage": True})
    assert stream.response.headers["content-type"].startswith("text/event-stream")
    assert stream.response.headers["content-length"]
    chunks = list(stream)
    texts = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(texts) == whole.choices[0].message.content
    assert len([text for text in texts if text]) > 3
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage is not None
    record = booked(cloud, "req_" + chunks[0].id.removeprefix("chatcmpl-"))
    assert record.usage.completion_tokens == chunks[-1].usage.completion_tokens


def test_completions_and_embeddings(cloud: Deployment) -> None:
    client = cloud.client(cloud.key())
    completion = client.completions.create(model="demo", prompt=["Hello", "Once"], max_tokens=8)
    assert [choice.index for choice in completion.choices] == [0, 1]
    assert completion.usage is not None
    assert completion.usage.completion_tokens > 0
    embeddings = client.embeddings.create(model="demo", input=["Hello", "Once"], dimensions=96)
    assert [len(one.embedding) for one in embeddings.data] == [96, 96]
    assert embeddings.data[0].embedding != embeddings.data[1].embedding


def test_text_of_all_kinds_goes_and_comes_unharmed(cloud: Deployment) -> None:
    """A body is text in the event that Lambda gets, and in its answer."""
    asked = "Größe: 12 € «naïve» 日本語 🙂"
    answer = cloud.client(cloud.key()).completions.create(model="demo", prompt=asked, echo=True, max_tokens=1)
    assert answer.choices[0].text.startswith(asked)


def test_models_are_listed_and_retrieved(cloud: Deployment) -> None:
    client = cloud.client(cloud.key())
    assert [model.id for model in client.models.list()] == ["demo"]
    assert client.models.retrieve("demo").owned_by == "penstock"


def test_usage_is_exactly_what_the_answers_counted(cloud: Deployment) -> None:
    key = cloud.key()
    client = cloud.client(key)
    answers = [client.chat.completions.create(**{**WHOLE, "seed": seed, "temperature": 1}) for seed in range(4)]
    counted = [answer.usage for answer in answers if answer.usage is not None]
    (row,) = cloud.call("GET", "/v1/usage", key).json()["data"]
    assert row["requests"] == len(counted) == 4
    assert row["prompt_tokens"] == sum(usage.prompt_tokens for usage in counted)
    assert row["completion_tokens"] == sum(usage.completion_tokens for usage in counted)


def test_a_repeated_request_is_answered_and_billed_once(cloud: Deployment) -> None:
    key = cloud.key()
    once = {"Idempotency-Key": "order-66"}
    first, second = (cloud.call("POST", "/v1/chat/completions", key, json=WHOLE, headers=once) for _ in range(2))
    assert (first.status_code, second.status_code) == (200, 200)
    assert second.content == first.content
    assert ("idempotent-replayed" in first.headers, second.headers["idempotent-replayed"]) == (False, "true")
    other = cloud.call("POST", "/v1/chat/completions", key, json={**WHOLE, "seed": 1}, headers=once)
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_key_reused")
    (row,) = cloud.call("GET", "/v1/usage", key).json()["data"]
    assert row["requests"] == 1


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/health", "/health/ready"])
def test_what_needs_no_key(cloud: Deployment, path: str) -> None:
    answer: httpx2.Response = cloud.call("GET", path)
    assert answer.status_code == 200, answer.text
    assert answer.content


def test_the_ledger_adds_up(cloud: Deployment) -> None:
    cloud.client(cloud.key()).chat.completions.create(**WHOLE)
    assert "error" not in cloud.penstock("ledger", "verify").lower()
