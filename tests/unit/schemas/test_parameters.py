"""Every parameter of OpenAI's own client is honoured, a no-op or refused, and docs/compatibility.md says which."""

import re
from pathlib import Path
from typing import Any, get_type_hints

import orjson
import pytest
from openai.types.chat import ChatCompletionStreamOptionsParam, completion_create_params

from penstock.errors import BadRequest, UnsupportedParameter
from penstock.schemas import ChatRequest, StreamOptions, read_chat_request
from penstock.schemas.parameters import HONOURED, NO_OPS, REFUSED

PAGE = Path(__file__).parents[3] / "docs" / "compatibility.md"
REQUEST: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hello!"}]}

# A good value of each no-op, and one that asks for something of each that is refused.
NO_OP_VALUES: dict[str, Any] = {
    "metadata": {"purpose": "test"},
    "parallel_tool_calls": True,
    "prompt_cache_key": "k",
    "prompt_cache_retention": "24h",
    "safety_identifier": "s",
    "user": "u",
}
REFUSED_VALUES: dict[str, Any] = {
    "audio": {"voice": "alloy", "format": "wav"},
    "frequency_penalty": 0.5,
    "function_call": {"name": "f"},
    "functions": [{"name": "f"}],
    "logit_bias": {"50256": -100},
    "logprobs": True,
    "modalities": ["text", "audio"],
    "moderation": {"model": "m"},
    "n": 2,
    "prediction": {"type": "content", "content": "x"},
    "presence_penalty": -1,
    "prompt_cache_options": {"mode": "explicit"},
    "reasoning_effort": "high",
    "response_format": {"type": "json_object"},
    "service_tier": "flex",
    "store": True,
    "tool_choice": "required",
    "tools": [{"type": "function", "function": {"name": "f"}}],
    "top_logprobs": 5,
    "verbosity": "low",
    "web_search_options": {},
}


def names_of_the_client() -> set[str]:
    """What the installed client's `chat.completions.create` takes, streamed or not."""
    return {
        name
        for params in (
            completion_create_params.CompletionCreateParamsNonStreaming,
            completion_create_params.CompletionCreateParamsStreaming,
        )
        for name in get_type_hints(params)
    }


def read(**changes: Any) -> ChatRequest:
    """The request with these parameters."""
    return read_chat_request(orjson.dumps({**REQUEST, **changes}))


def test_each_parameter_of_the_client_is_in_exactly_one_class() -> None:
    classes = [set(HONOURED), set(NO_OPS), set(REFUSED)]
    assert names_of_the_client() == set.union(*classes)
    assert sum(map(len, classes)) == len(set.union(*classes))


def test_the_schema_has_what_is_accepted() -> None:
    assert set(ChatRequest.model_fields) == HONOURED | NO_OPS


def test_the_stream_options_of_the_client_are_all_known() -> None:
    options = get_type_hints(ChatCompletionStreamOptionsParam)
    assert set(StreamOptions.model_fields) == set(options)


def rows(title: str) -> set[str]:
    """The names in the first column of the table under a heading of the page."""
    section = PAGE.read_text(encoding="utf-8").partition(f"\n## {title}")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("|")]
    return {name for cell in cells for name in re.findall(r"`([a-z_]+)`", cell)}


@pytest.mark.parametrize(
    ("title", "names"), [("Honoured", HONOURED), ("Accepted without effect", NO_OPS), ("Refused", set(REFUSED))]
)
def test_the_page_on_compatibility_says_the_same(title: str, names: set[str]) -> None:
    assert rows(title) == set(names)


def test_the_page_names_the_accepted_values_of_what_is_refused() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for name, values in REFUSED.items():
        (row,) = [line for line in page.splitlines() if line.startswith("|") and f"`{name}`" in line.split("|")[1]]
        for value in values:
            assert f"`{orjson.dumps(value).decode()}`".replace(":", ": ") in row, name


@pytest.mark.parametrize("name", sorted(NO_OPS))
def test_a_no_op_is_accepted_and_checked(name: str) -> None:
    assert read(**{name: NO_OP_VALUES[name]}) == read().model_copy(update={name: NO_OP_VALUES[name]})
    assert read(**{name: None}) == read()
    with pytest.raises(BadRequest) as refused:
        read(**{name: [1]})
    assert refused.value.param == name


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_is_refused_is_named(name: str) -> None:
    with pytest.raises(UnsupportedParameter) as refused:
        read(**{name: REFUSED_VALUES[name]})
    assert (refused.value.status, refused.value.param, refused.value.code) == (400, name, "unsupported_parameter")
    assert f"'{name}' is not supported" in refused.value.message


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_is_refused_may_ask_for_nothing(name: str) -> None:
    for value in (None, *REFUSED[name]):
        assert read(**{name: value}) == read()


@pytest.mark.parametrize(
    ("name", "value"),
    [("n", True), ("store", 0), ("logprobs", 0), ("top_logprobs", False), ("frequency_penalty", False)],
)
def test_in_json_true_is_not_one(name: str, value: Any) -> None:
    with pytest.raises(UnsupportedParameter):
        read(**{name: value})


def test_a_name_that_openai_does_not_know_is_refused_as_unknown() -> None:
    with pytest.raises(BadRequest) as refused:
        read(top_k=5)
    assert not isinstance(refused.value, UnsupportedParameter)
    assert (refused.value.param, refused.value.code) == ("top_k", "unknown_parameter")
