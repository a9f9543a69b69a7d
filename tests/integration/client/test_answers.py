"""Every method against the edge: what it answers, and what was asked of the GPU."""

from datetime import date
from typing import Any

import orjson
import pytest

from penstock.client import ChatCompletion, ChatCompletionChunk, Completion, EmbeddingList, UsageReport
from penstock.ledger import Limits
from tests.integration.client.conftest import Connect
from tests.integration.edge.conftest import Deploy
from tests.integration.edge.deployment import CHAT, COMPLETION, EMBEDDING, Deployment
from tests.integration.edge.stand_in import ANSWER, BASE64, USED, VECTOR, WORDS

pytestmark = pytest.mark.anyio

LIMITS = Limits(requests_per_minute=100, tokens_per_minute=10_000)


async def test_a_whole_answer(deploy: Deploy, connect: Connect) -> None:
    deployment = await deploy(account_limits=LIMITS)
    answer = await connect(deployment).call("chat.completions.create", **CHAT)
    assert isinstance(answer, ChatCompletion)
    assert answer.choices[0].message.content == ANSWER
    assert answer.usage.completion_tokens == USED.completion_tokens
    (record,) = await deployment.ledger.records()
    assert answer.request_id == record.request_id
    assert answer.reply.headers["x-ratelimit-remaining-requests"] == "99"
    assert answer.reply.retries == 0


async def test_a_streamed_answer(deployment: Deployment, connect: Connect) -> None:
    either = connect(deployment)
    chunks = await either.chunks("chat.completions.create", **CHAT, stream_options={"include_usage": True})
    assert all(isinstance(chunk, ChatCompletionChunk) for chunk in chunks)
    assert tuple(text for chunk in chunks if (text := chunk.choices[0].delta.content)) == WORDS
    assert orjson.loads(deployment.gpu.calls[0].body)["stream_options"] == {"include_usage": True}
    stream = await either.call("chat.completions.create", stream=True, **CHAT)
    await either.first(stream)
    await either.leave(stream)
    assert stream.request_id == deployment.gpu.calls[1].ticket.lease.id


async def test_completions(deployment: Deployment, connect: Connect) -> None:
    either = connect(deployment)
    answer = await either.call("completions.create", **COMPLETION)
    assert isinstance(answer, Completion)
    assert answer.choices[0].text == ANSWER
    chunks = await either.chunks("completions.create", **COMPLETION)
    assert "".join(chunk.choices[0].text for chunk in chunks) == ANSWER


async def test_embeddings_are_numbers_whatever_the_wire_has(deployment: Deployment, connect: Connect) -> None:
    either = connect(deployment)
    expected = {None: VECTOR, "float": VECTOR, "base64": BASE64}
    for encoding_format, embedding in expected.items():
        asked: dict[str, Any] = {} if encoding_format is None else {"encoding_format": encoding_format}
        answer = await either.call("embeddings.create", **EMBEDDING, **asked)
        assert isinstance(answer, EmbeddingList)
        assert answer.data[0].embedding == embedding
    wires = [orjson.loads(call.body)["encoding_format"] for call in deployment.gpu.calls]
    assert wires == ["base64", "float", "base64"]


async def test_models(deployment: Deployment, connect: Connect) -> None:
    either = connect(deployment)
    listed = await either.call("models.list")
    assert [model.id for model in listed.data] == ["demo", "acme/large", "unpriced", "vectors"]
    assert (await either.call("models.retrieve", "acme/large")).owned_by == "acme"


async def test_usage(deploy: Deploy, connect: Connect) -> None:
    deployment = await deploy(account_limits=LIMITS)
    either = connect(deployment)
    for _ in range(2):
        await either.call("chat.completions.create", **CHAT)
    report = await either.call("usage.list", since=date(2026, 1, 1), of="account", group_by=["model"])
    assert isinstance(report, UsageReport)
    assert [(row.model, row.requests) for row in report.data] == [("demo", 2)]
    assert report.total_requests == 2
    assert report.limits["requests_per_minute"].spent == 2


async def test_an_answers_message_goes_back_as_history(deployment: Deployment, connect: Connect) -> None:
    either = connect(deployment)
    answer = await either.call("chat.completions.create", **CHAT)
    turns = [*CHAT["messages"], answer.choices[0].message, {"role": "user", "content": "And?"}]
    await either.call("chat.completions.create", **{**CHAT, "messages": turns})
    assert orjson.loads(deployment.gpu.calls[1].body)["messages"][1]["content"] == ANSWER
