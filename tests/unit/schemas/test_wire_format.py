"""The wire format, pinned as JSON, and held against the models of OpenAI's own client."""

from typing import Any

import openai.types
import openai.types.chat
import orjson
import pytest
from openai import BaseModel as OpenAIModel
from pydantic import BaseModel

from penstock.errors import RateLimited
from penstock.schemas import (
    ChatCompletion,
    ChatCompletionChunk,
    Choice,
    ChoiceDelta,
    ChunkChoice,
    CompletionUsage,
    Model,
    ModelList,
    ResponseMessage,
    UsageReport,
    read_chat_request,
)
from penstock.schemas.completion import DONE, comment, error_event, event
from penstock.schemas.report import LimitReport, UsageReportRow

USAGE = CompletionUsage.of(12, 8, 3)
USAGE_JSON = '{"prompt_tokens":12,"completion_tokens":3,"total_tokens":15,"prompt_tokens_details":{"cached_tokens":8}}'
COMPLETION = ChatCompletion(
    id="req_1",
    object="chat.completion",
    created=1_700_000_000,
    model="demo",
    choices=[
        Choice(
            index=0,
            message=ResponseMessage(role="assistant", content="Hello €!", refusal=None),
            logprobs=None,
            finish_reason="stop",
        )
    ],
    usage=USAGE,
)


def chunk(delta: ChoiceDelta | None, finish_reason: Any = None, **more: Any) -> ChatCompletionChunk:
    """A chunk of a stream; without a delta, one without choices."""
    choices = [] if delta is None else [ChunkChoice(index=0, delta=delta, logprobs=None, finish_reason=finish_reason)]
    return ChatCompletionChunk(
        id="req_1", object="chat.completion.chunk", created=1_700_000_000, model="demo", choices=choices, **more
    )


CHUNK = '{"id":"req_1","object":"chat.completion.chunk","created":1700000000,"model":"demo","choices":['
CHUNKS = {
    "first": (
        chunk(ChoiceDelta(role="assistant", content="", refusal=None)),
        CHUNK + '{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,'
        '"finish_reason":null}]}',
    ),
    "next": (
        chunk(ChoiceDelta(content="Hel")),
        CHUNK + '{"index":0,"delta":{"content":"Hel"},"logprobs":null,"finish_reason":null}]}',
    ),
    "last": (
        chunk(ChoiceDelta(), "length"),
        CHUNK + '{"index":0,"delta":{},"logprobs":null,"finish_reason":"length"}]}',
    ),
    "next, with usage to come": (
        chunk(ChoiceDelta(content="lo"), usage=None),
        CHUNK + '{"index":0,"delta":{"content":"lo"},"logprobs":null,"finish_reason":null}],"usage":null}',
    ),
    "usage": (chunk(None, usage=USAGE), CHUNK + '],"usage":' + USAGE_JSON + "}"),
}


def test_an_answer() -> None:
    assert COMPLETION.wire().decode() == (
        '{"id":"req_1","object":"chat.completion","created":1700000000,"model":"demo","choices":[{"index":0,'
        '"message":{"role":"assistant","content":"Hello €!","refusal":null},"logprobs":null,'
        '"finish_reason":"stop"}],"usage":' + USAGE_JSON + "}"
    )


@pytest.mark.parametrize("name", CHUNKS)
def test_a_chunk(name: str) -> None:
    made, wire = CHUNKS[name]
    assert made.wire().decode() == wire


def test_the_frames_of_a_stream() -> None:
    assert event(b'{"a":1}') == b'data: {"a":1}\n\n'
    assert comment("waiting") == b": waiting\n\n"
    assert DONE == b"data: [DONE]\n\n"


def test_an_error() -> None:
    envelope = RateLimited("Over the limit.").envelope()
    wire = '{"error":{"message":"Over the limit.","type":"rate_limit_error","param":null,"code":"rate_limit_exceeded"}}'
    assert orjson.dumps(envelope).decode() == wire
    assert error_event(envelope).decode() == f"data: {wire}\n\n"


MODEL = Model(id="demo", created=1_767_225_600, owned_by="penstock")


def test_models() -> None:
    assert ModelList(data=[MODEL]).model_dump_json() == (
        '{"object":"list","data":[{"id":"demo","object":"model","created":1767225600,"owned_by":"penstock"}]}'
    )


def test_a_usage_report() -> None:
    report = UsageReport(
        account="acct_1",
        key="k1",
        since="2026-01-01",
        until="2026-01-31",
        limits={"monthly_budget": LimitReport(limit=10, spent=3, reserved=2, remaining=5)},
        data=[
            UsageReportRow(
                day="2026-01-02",
                model="demo",
                requests=1,
                prompt_tokens=12,
                cached_prompt_tokens=8,
                completion_tokens=3,
                cost_nano_usd=2_000,
                cost_usd="0.000002",
            )
        ],
        group_by=("day", "model"),
        total_requests=1,
        total_cost_nano_usd=2_000,
        total_cost_usd="0.000002",
    )
    assert report.model_dump_json() == (
        '{"object":"usage","since":"2026-01-01","until":"2026-01-31","group_by":["day","model"],"data":[{"day":"2026-01-02","model":"demo","requests":1,"prompt_tokens":12,"cached_prompt_tokens":8,'
        '"completion_tokens":3,"cost_nano_usd":2000,"cost_usd":"0.000002"}],'
        '"total_requests":1,"total_cost_nano_usd":2000,"total_cost_usd":"0.000002","account":"acct_1","key":"k1",'
        '"limits":{"monthly_budget":{"limit":10,"spent":3,"reserved":2,"remaining":5}}}'
    )


def unknown_fields(model: BaseModel) -> list[str]:
    """What the client's model does not know, at any depth."""
    found = list(model.model_extra or {})
    for name in type(model).model_fields:
        value = getattr(model, name)
        for inner in value if isinstance(value, list) else [value]:
            found += [f"{name}.{extra}" for extra in unknown_fields(inner)] if isinstance(inner, BaseModel) else []
    return found


@pytest.mark.parametrize(
    ("model", "wire"),
    [
        (openai.types.chat.ChatCompletion, COMPLETION.wire()),
        (openai.types.Model, MODEL.model_dump_json().encode()),
        *((openai.types.chat.ChatCompletionChunk, wire.encode()) for _, wire in CHUNKS.values()),
    ],
)
def test_the_client_knows_every_field_and_misses_none(model: type[OpenAIModel], wire: bytes) -> None:
    parsed = model.model_validate(orjson.loads(wire), strict=True)
    assert unknown_fields(parsed) == []
    assert parsed.model_dump(exclude_unset=True, mode="json") == orjson.loads(wire)


@pytest.mark.parametrize("dump", [{}, {"exclude_unset": True}, {"exclude_none": True}])
def test_an_answers_message_can_be_sent_back_as_history(dump: dict[str, Any]) -> None:
    completion = openai.types.chat.ChatCompletion.model_validate(orjson.loads(COMPLETION.wire()))
    message = completion.choices[0].message.model_dump(**dump)
    body = {"model": "m", "messages": [message, {"role": "user", "content": "And?"}]}
    assert read_chat_request(orjson.dumps(body)).messages[0].content == "Hello €!"


def test_an_empty_list_of_annotations_or_tool_calls_is_nothing() -> None:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": "x",
        "annotations": [],
        "tool_calls": [],
        "function_call": None,
    }
    read_chat_request(orjson.dumps({"model": "m", "messages": [message]}))
