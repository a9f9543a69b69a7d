"""The methods' parameters are the API's, by name; what a method does not take is a TypeError that names it."""

from typing import Any

import orjson
import pytest
from pydantic import BaseModel

from penstock.client.call import Call
from penstock.client.calls import chat_call, completion_call, embedding_call, model_call, usage_call
from penstock.client.parameters import (
    BatchesParameters,
    BatchParameters,
    CallOptions,
    ChatArguments,
    ChatParameters,
    CompletionParameters,
    EmbeddingParameters,
    ExpiresAfter,
    FilesParameters,
    MessageParameter,
    StreamOptions,
    UsageParameters,
)
from penstock.schemas import ChatRequest, CompletionRequest, EmbeddingRequest, Message, read_chat_request
from penstock.schemas import StreamOptions as ReadStreamOptions
from penstock.schemas.batch import BatchesQuery, BatchRequest
from penstock.schemas.completion import ResponseMessage
from penstock.schemas.file import ExpiresAfter as ReadExpiresAfter
from penstock.schemas.file import FilesQuery
from penstock.schemas.report import UsageQuery

HELLO: Any = [{"role": "user", "content": "Hello!"}]


def sent(call: Call) -> bytes:
    assert isinstance(call.body, bytes)
    return call.body


def body_of(call: Call) -> Any:
    return orjson.loads(sent(call))


def names(model: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


def required(model: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items() if field.is_required()}


@pytest.mark.parametrize(
    ("parameters", "schema", "apart"),
    [
        (ChatParameters, ChatRequest, {"stream"}),
        (CompletionParameters, CompletionRequest, {"stream"}),
        (EmbeddingParameters, EmbeddingRequest, set()),
        (UsageParameters, UsageQuery, {"format"}),
        (MessageParameter, Message, set()),
        (StreamOptions, ReadStreamOptions, set()),
        (FilesParameters, FilesQuery, set()),
        (ExpiresAfter, ReadExpiresAfter, set()),
        (BatchParameters, BatchRequest, set()),
        (BatchesParameters, BatchesQuery, set()),
    ],
)
def test_they_are_those_of_the_api(parameters: Any, schema: type[BaseModel], apart: set[str]) -> None:
    assert set(parameters.__annotations__) == names(schema) - apart
    assert parameters.__required_keys__ == required(schema)


def test_the_options_of_a_call_are_no_parameters_of_the_api() -> None:
    assert set(CallOptions.__annotations__) <= set(Call.__slots__)
    for schema in (ChatRequest, CompletionRequest, EmbeddingRequest):
        assert names(schema).isdisjoint(CallOptions.__annotations__)


@pytest.mark.parametrize("make", [chat_call, completion_call, embedding_call, usage_call])
def test_an_unknown_name_is_said(make: Any) -> None:
    options = {} if make in (embedding_call, usage_call) else {"stream": False}
    with pytest.raises(TypeError, match="unexpected keyword argument 'temprature'"):
        make({"model": "demo", "temprature": 1}, **options)


def test_a_missing_one_is_said() -> None:
    arguments: Any = {"model": "demo"}
    with pytest.raises(TypeError, match="missing a required keyword argument: 'messages'"):
        chat_call(arguments, stream=False)
    with pytest.raises(TypeError, match="missing a required keyword argument: 'input'"):
        embedding_call(arguments)


@pytest.mark.parametrize("key", ["", "a b", "é", "x" * 256, "a\n"])
def test_an_idempotency_key_that_the_api_would_refuse_is_not_sent(key: str) -> None:
    with pytest.raises(TypeError, match="idempotency_key"):
        chat_call({"model": "demo", "messages": HELLO, "idempotency_key": key}, stream=False)


@pytest.mark.parametrize("value", [object(), {1, object()}, float, 2**80])
def test_what_cannot_be_sent_is_said(value: Any) -> None:
    with pytest.raises(TypeError, match="cannot be sent"):
        chat_call({"model": "demo", "messages": HELLO, "metadata": value}, stream=False)


def test_the_options_of_a_call_are_not_sent() -> None:
    arguments = ChatArguments(
        model="demo", messages=HELLO, timeout=3, idempotency_key="mine", delivery="direct", temperature=None
    )
    call = chat_call(arguments, stream=True)
    assert body_of(call) == {"model": "demo", "messages": HELLO, "temperature": None, "stream": True}
    assert (call.timeout, call.idempotency_key, call.delivery) == (3, "mine", "direct")


def test_what_python_has_and_json_has_not() -> None:
    answered = ResponseMessage(role="assistant", content="Good day.", refusal=None)
    call = chat_call(
        {"model": "demo", "messages": (*HELLO, answered), "logit_bias": {17: -5}, "stop": ("a", "b")}, stream=False
    )
    read = read_chat_request(sent(call))
    assert [message.content for message in read.messages] == ["Hello!", "Good day."]
    assert (read.logit_bias, read.stop) == ({17: -5}, ("a", "b"))


def test_embeddings_are_asked_for_in_base64_where_nothing_else_is_said() -> None:
    assert body_of(embedding_call({"model": "m", "input": "x"}))["encoding_format"] == "base64"
    floats = embedding_call({"model": "m", "input": "x", "encoding_format": "float"})
    assert body_of(floats)["encoding_format"] == "float"


def test_the_paths_and_the_query() -> None:
    from datetime import date

    assert model_call("acme/large v1?").path == "/models/acme/large%20v1%3F"
    call = usage_call({"since": date(2026, 1, 2), "until": None, "group_by": ("day", "model"), "of": "account"})
    assert (call.method, call.path) == ("GET", "/usage")
    assert call.query == {"since": "2026-01-02", "group_by": "day,model", "of": "account"}
