"""The form of an answer: what is asked for, in which of the ways, and how large it may be."""

from typing import Any

import orjson
import pytest

from penstock.errors import BadRequest
from penstock.schemas import AnswerForm, read_chat_request, read_completion_request
from penstock.schemas.form import MAX_CHOICES, MAX_FORM

SCHEMA = {"type": "object", "properties": {"zebra": {"type": "string"}, "ant": {"type": "integer"}}}
TEXT = '{"type":"object","properties":{"zebra":{"type":"string"},"ant":{"type":"integer"}}}'


def form(**parameters: Any) -> AnswerForm | None:
    """The form that a chat completion with these parameters has."""
    good = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    return read_chat_request(orjson.dumps({**good, **parameters})).grammar


def schema(value: Any) -> dict[str, Any]:
    """A response format that asks for a schema."""
    return {"type": "json_schema", "json_schema": {"name": "n", "schema": value}}


@pytest.mark.parametrize("response_format", [None, {"type": "text"}, {"type": "text", "json_schema": None}])
def test_text_has_any_form(response_format: Any) -> None:
    assert form(response_format=response_format) is None
    assert form() is None


def test_a_schema_is_compact_json_with_its_keys_in_their_order() -> None:
    asked = {"type": "json_schema", "json_schema": {"name": "n", "description": "d", "strict": False, "schema": SCHEMA}}
    assert form(response_format=asked) == AnswerForm("json_schema", TEXT, "response_format.json_schema.schema")
    assert form(structured_outputs={"json": SCHEMA}) == AnswerForm("json_schema", TEXT, "structured_outputs.json")


def test_the_other_forms() -> None:
    assert form(response_format={"type": "json_object"}) == AnswerForm("json_object", "", "response_format")
    assert form(structured_outputs={"regex": "[ab]+é"}) == AnswerForm("regex", "[ab]+é", "structured_outputs.regex")
    assert form(structured_outputs={"choice": ["yes", "nö"]}) == AnswerForm(
        "choice", '["yes","nö"]', "structured_outputs.choice"
    )


def test_plain_text_and_a_form_of_ours_agree() -> None:
    asked = form(response_format={"type": "text"}, structured_outputs={"regex": "a"})
    assert asked == AnswerForm("regex", "a", "structured_outputs.regex")


def test_a_completion_has_forms_too() -> None:
    body = {"model": "m", "prompt": "x", "structured_outputs": {"choice": ["a"]}}
    assert read_completion_request(orjson.dumps(body)).grammar == AnswerForm(
        "choice", '["a"]', "structured_outputs.choice"
    )


@pytest.mark.parametrize(
    ("parameters", "param"),
    [
        ({"response_format": schema({"a": "x" * (MAX_FORM - 7)})}, "response_format.json_schema.schema"),
        ({"structured_outputs": {"json": {"a": "x" * (MAX_FORM - 7)}}}, "structured_outputs.json"),
        ({"structured_outputs": {"regex": "x" * (MAX_FORM - 1)}}, "structured_outputs.regex"),
        ({"structured_outputs": {"choice": ["x" * (MAX_FORM - 3)]}}, "structured_outputs.choice"),
        ({"structured_outputs": {"choice": ["x"] * (MAX_CHOICES + 1)}}, "structured_outputs.choice"),
    ],
)
def test_a_form_is_bounded(parameters: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        form(**parameters)
    assert (refused.value.param, refused.value.code) == (param, "invalid_value")
    assert len(refused.value.message) < 200


def test_a_form_of_just_the_size() -> None:
    assert form(response_format=schema({"a": "x" * (MAX_FORM - 8)})) is not None
    assert form(structured_outputs={"regex": "x" * (MAX_FORM - 2)}) is not None
    assert form(structured_outputs={"choice": ["x"] * MAX_CHOICES}) is not None


def test_a_schema_that_is_too_deep_is_refused() -> None:
    deep = b'{"a":' * 500 + b"1" + b"}" * 500
    body = b'{"model":"m","messages":[{"role":"user","content":"x"}],"structured_outputs":{"json":' + deep + b"}}"
    with pytest.raises(BadRequest) as refused:
        read_chat_request(body)
    assert refused.value.message == "structured_outputs.json: is nested too deeply."
