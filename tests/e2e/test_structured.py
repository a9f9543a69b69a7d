"""Answers held to a form, end to end, through OpenAI's own client."""

import json
import re
from typing import Any

import httpx2
import openai
import pytest

from tests.e2e.service import Service

HELLO: Any = [{"role": "user", "content": "Who are you?"}]
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 20},
        "kind": {"enum": ["gate", "meter"]},
        "size": {"type": "integer", "minimum": 1, "maximum": 99},
    },
    "required": ["name", "kind", "size"],
    "additionalProperties": False,
}


def form(schema: dict[str, Any]) -> dict[str, Any]:
    """The response format that asks for it."""
    return {"type": "json_schema", "json_schema": {"name": "thing", "strict": True, "schema": schema}}


def ask(service: Service, **parameters: Any) -> Any:
    return service.client().chat.completions.create(model="demo", messages=HELLO, **parameters)


def is_thing(text: str) -> bool:
    """Whether it is what SCHEMA describes."""
    thing = json.loads(text)
    known = thing["kind"] in ("gate", "meter") and 1 <= thing["size"] <= 99 and len(thing["name"]) <= 20
    return known and thing.keys() == SCHEMA["properties"].keys()


@pytest.mark.parametrize("temperature", [0, 1.5])
def test_every_choice_is_what_the_schema_says(service: Service, temperature: float) -> None:
    answer = ask(service, response_format=form(SCHEMA), n=4, temperature=temperature, seed=1, max_completion_tokens=200)
    assert [choice.finish_reason for choice in answer.choices] == ["stop"] * 4
    assert all(is_thing(choice.message.content) for choice in answer.choices)


def test_a_stream_is_held_to_it_too(service: Service) -> None:
    chunks = list(ask(service, response_format=form(SCHEMA), temperature=0, stream=True, max_completion_tokens=200))
    assert is_thing("".join(chunk.choices[0].delta.content or "" for chunk in chunks))


def test_any_object(service: Service) -> None:
    answer = ask(service, response_format={"type": "json_object"}, temperature=0, max_completion_tokens=300).choices[0]
    assert answer.finish_reason in ("stop", "length")
    assert answer.message.content.startswith("{")
    if answer.finish_reason == "stop":
        assert isinstance(json.loads(answer.message.content), dict)


def test_an_expression_and_a_choice(service: Service) -> None:
    regex = ask(service, extra_body={"structured_outputs": {"regex": "[a-c]{4}-[0-9]{2}"}}).choices[0].message.content
    assert re.fullmatch("[a-c]{4}-[0-9]{2}", regex)
    choice = ask(service, extra_body={"structured_outputs": {"choice": ["heron", "sluice"]}})
    assert choice.choices[0].message.content in ("heron", "sluice")
    plain = service.client().completions.create(
        model="demo", prompt="The bird is a", extra_body={"structured_outputs": {"choice": [" heron", " otter"]}}
    )
    assert plain.choices[0].text in (" heron", " otter")


@pytest.mark.parametrize(
    ("parameters", "param"),
    [
        ({"response_format": form({"type": "no type"})}, "response_format.json_schema.schema"),
        ({"extra_body": {"structured_outputs": {"regex": "("}}}, "structured_outputs.regex"),
    ],
)
def test_what_no_answer_can_be_held_to_is_refused_and_costs_nothing(
    service: Service, parameters: dict[str, Any], param: str
) -> None:
    key = service.create_key("--name", "nothing")
    with pytest.raises(openai.BadRequestError) as refusal:
        service.client(key).chat.completions.create(model="demo", messages=HELLO, **parameters)
    assert (refusal.value.param, refusal.value.code) == (param, "invalid_schema")
    report = httpx2.get(f"{service.url}/v1/usage", headers={"Authorization": f"Bearer {key}"}).json()
    assert report["data"] == []
