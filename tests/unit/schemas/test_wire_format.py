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
    ChoiceLogprobs,
    ChunkChoice,
    Completion,
    CompletionChoice,
    CompletionLogprobs,
    CompletionUsage,
    Embedding,
    EmbeddingList,
    EmbeddingUsage,
    Model,
    ModelList,
    ResponseMessage,
    TokenLogprob,
    TopLogprob,
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


LOGPROBS = ChoiceLogprobs(
    content=[
        TokenLogprob(
            token="H",
            bytes=[72],
            logprob=-0.25,
            top_logprobs=[TopLogprob(token="H", bytes=[72], logprob=-0.25)],
        ),
        TokenLogprob(token="\ufffd", bytes=[226, 130], logprob=-9999.0, top_logprobs=[]),
    ],
    refusal=None,
)
LOGPROBS_JSON = (
    '{"content":[{"token":"H","bytes":[72],"logprob":-0.25,"top_logprobs":[{"token":"H","bytes":[72],'
    '"logprob":-0.25}]},{"token":"\ufffd","bytes":[226,130],"logprob":-9999.0,"top_logprobs":[]}],"refusal":null}'
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


def test_probabilities() -> None:
    assert LOGPROBS.wire().decode() == LOGPROBS_JSON
    made = chunk(ChoiceDelta(content="H"))
    told = made.model_copy(update={"choices": [made.choices[0].model_copy(update={"logprobs": LOGPROBS})]})
    assert told.wire().decode() == CHUNK + (
        '{"index":0,"delta":{"content":"H"},"logprobs":' + LOGPROBS_JSON + ',"finish_reason":null}]}'
    )


# -- completions


def text(logprobs: CompletionLogprobs | None, finish_reason: Any, **more: Any) -> Completion:
    """A completion, or a chunk of one."""
    choice = CompletionChoice(index=0, text="Hi", logprobs=logprobs, finish_reason=finish_reason)
    return Completion(
        id="cmpl-1", object="text_completion", created=1_700_000_000, model="demo", choices=[choice], **more
    )


TEXT = (
    '{"id":"cmpl-1","object":"text_completion","created":1700000000,"model":"demo","choices":[{"index":0,"text":"Hi",'
)
TEXT_LOGPROBS = CompletionLogprobs(
    tokens=["H", "i"],
    token_logprobs=[-0.25, -1.5],
    top_logprobs=[{"H": -0.25}, {"i": -1.5, "o": -2.0}],
    text_offset=[0, 1],
)
TEXTS = {
    "whole": (
        text(None, "stop", usage=USAGE),
        TEXT + '"logprobs":null,"finish_reason":"stop"}],"usage":' + USAGE_JSON + "}",
    ),
    "chunk": (text(None, None), TEXT + '"logprobs":null,"finish_reason":null}]}'),
    "with probabilities": (
        text(TEXT_LOGPROBS, "length"),
        TEXT + '"logprobs":{"tokens":["H","i"],"token_logprobs":[-0.25,-1.5],"top_logprobs":[{"H":-0.25},'
        '{"i":-1.5,"o":-2.0}],"text_offset":[0,1]},"finish_reason":"length"}]}',
    ),
    "without alternatives": (
        text(TEXT_LOGPROBS.model_copy(update={"top_logprobs": None}), "length"),
        TEXT + '"logprobs":{"tokens":["H","i"],"token_logprobs":[-0.25,-1.5],"top_logprobs":null,"text_offset":[0,1]},'
        '"finish_reason":"length"}]}',
    ),
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_completion(name: str) -> None:
    made, wire = TEXTS[name]
    assert made.wire().decode() == wire


def test_the_first_token_of_a_prompt_has_no_probability() -> None:
    logprobs = CompletionLogprobs(tokens=["H"], token_logprobs=[None], top_logprobs=[None], text_offset=[0])
    assert logprobs.wire() == b'{"tokens":["H"],"token_logprobs":[null],"top_logprobs":[null],"text_offset":[0]}'


# -- embeddings

EMBEDDINGS = EmbeddingList(
    object="list",
    data=[
        Embedding(object="embedding", index=0, embedding=[0.5, -0.25]),
        Embedding(object="embedding", index=1, embedding="AAAAPwAAgL4="),
    ],
    model="demo",
    usage=EmbeddingUsage(prompt_tokens=5, total_tokens=5),
)


def test_embeddings() -> None:
    assert EMBEDDINGS.wire().decode() == (
        '{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5,-0.25]},'
        '{"object":"embedding","index":1,"embedding":"AAAAPwAAgL4="}],"model":"demo",'
        '"usage":{"prompt_tokens":5,"total_tokens":5}}'
    )


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
        (openai.types.chat.chat_completion.ChoiceLogprobs, LOGPROBS.wire()),
        (openai.types.chat.chat_completion_chunk.ChoiceLogprobs, LOGPROBS.wire()),
        (openai.types.CreateEmbeddingResponse, EMBEDDINGS.model_copy(update={"data": EMBEDDINGS.data[:1]}).wire()),
        # A chunk has null for its finish_reason, in OpenAI's documentation if not in its client's types.
        *((openai.types.Completion, wire.encode()) for name, (_, wire) in TEXTS.items() if name != "chunk"),
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
