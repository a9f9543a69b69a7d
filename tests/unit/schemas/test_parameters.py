"""Every parameter of OpenAI's own client is honoured, a no-op or refused, and docs/compatibility.md says which."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

import orjson
import pytest
from openai.types import completion_create_params as text_params
from openai.types import embedding_create_params as embedding_params
from openai.types.chat import ChatCompletionStreamOptionsParam
from openai.types.chat import completion_create_params as chat_params
from pydantic import BaseModel

from penstock.errors import BadRequest, UnsupportedParameter
from penstock.schemas import (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    StreamOptions,
    read_chat_request,
    read_completion_request,
    read_embedding_request,
)
from penstock.schemas.parameters import CHAT, COMPLETION, EMBEDDING, Parameters

PAGE = Path(__file__).parents[3] / "docs" / "compatibility.md"


@dataclass(frozen=True)
class Route:
    """A route's parameters: ours, the client's, the page's section, and how a body is read."""

    title: str
    known: Parameters
    clients: tuple[type, ...]
    schema: type[BaseModel]
    reader: Callable[[bytes], Any]
    good: dict[str, Any]

    def read(self, **changes: Any) -> Any:
        """The request with these parameters."""
        return self.reader(orjson.dumps({**self.good, **changes}))


ROUTES = (
    Route(
        "Chat completions",
        CHAT,
        (chat_params.CompletionCreateParamsNonStreaming, chat_params.CompletionCreateParamsStreaming),
        ChatRequest,
        read_chat_request,
        {"model": "m", "messages": [{"role": "user", "content": "Hello!"}]},
    ),
    Route(
        "Completions",
        COMPLETION,
        (text_params.CompletionCreateParamsNonStreaming, text_params.CompletionCreateParamsStreaming),
        CompletionRequest,
        read_completion_request,
        {"model": "m", "prompt": "Hello"},
    ),
    Route(
        "Embeddings",
        EMBEDDING,
        (embedding_params.EmbeddingCreateParams,),
        EmbeddingRequest,
        read_embedding_request,
        {"model": "m", "input": "Hello"},
    ),
)
CHATS = ROUTES[0]

# A good value of each no-op, one that asks for something of each that is refused, and of each extension.
NO_OP_VALUES: dict[str, Any] = {
    "best_of": 1,
    "metadata": {"purpose": "test"},
    "parallel_tool_calls": True,
    "prompt_cache_key": "k",
    "prompt_cache_retention": "24h",
    "safety_identifier": "s",
    "user": "u",
}
REFUSED_VALUES: dict[str, Any] = {
    "audio": {"voice": "alloy", "format": "wav"},
    "function_call": {"name": "f"},
    "functions": [{"name": "f"}],
    "modalities": ["text", "audio"],
    "moderation": {"model": "m"},
    "prediction": {"type": "content", "content": "x"},
    "prompt_cache_options": {"mode": "explicit"},
    "reasoning_effort": "high",
    "service_tier": "flex",
    "store": True,
    "suffix": "the end",
    "tool_choice": "required",
    "tools": [{"type": "function", "function": {"name": "f"}}],
    "verbosity": "low",
    "web_search_options": {},
}
EXTENSION_VALUES: dict[str, Any] = {
    "ignore_eos": True,
    "min_p": 0.5,
    "min_tokens": 1,
    "repetition_penalty": 1.5,
    "stop_token_ids": [1],
    "structured_outputs": {"regex": "a"},
    "top_k": 5,
}

of_each_route = pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.title)
NO_OPS = [(route, name) for route in ROUTES for name in sorted(route.known.no_ops)]
REFUSED = [(route, name) for route in ROUTES for name in sorted(route.known.refused)]
EXTENSIONS = [(route, name) for route in ROUTES for name in sorted(route.known.extensions)]


@of_each_route
def test_each_parameter_of_the_client_is_in_exactly_one_class(route: Route) -> None:
    names = {name for params in route.clients for name in get_type_hints(params)}
    classes = [set(route.known.honoured), set(route.known.no_ops), set(route.known.refused)]
    assert names == set.union(*classes)
    assert sum(map(len, classes)) == len(set.union(*classes))
    assert not route.known.extensions & names


@of_each_route
def test_the_schema_has_what_is_accepted(route: Route) -> None:
    fields = {field.alias or name for name, field in route.schema.model_fields.items()}
    assert fields == route.known.accepted


def test_the_stream_options_of_the_client_are_all_known() -> None:
    options = get_type_hints(ChatCompletionStreamOptionsParam)
    assert set(StreamOptions.model_fields) == set(options)


def section(route: Route, title: str) -> str:
    """The part of the page under a heading of the route."""
    of_route = PAGE.read_text(encoding="utf-8").partition(f"\n## {route.title}\n")[2].partition("\n## ")[0]
    return of_route.partition(f"\n### {title}\n")[2].partition("\n### ")[0]


def rows(route: Route, title: str) -> set[str]:
    """The names in the first column of the table there."""
    cells = [line.split("|")[1] for line in section(route, title).splitlines() if line.startswith("|")]
    return {name for cell in cells for name in re.findall(r"`([a-z_]+)`", cell)}


@of_each_route
def test_the_page_on_compatibility_says_the_same(route: Route) -> None:
    assert rows(route, "Honoured") == route.known.honoured
    assert rows(route, "Extensions") == route.known.extensions
    assert rows(route, "Accepted without effect") == route.known.no_ops
    assert rows(route, "Refused") == set(route.known.refused)


@of_each_route
def test_the_page_names_the_accepted_values_of_what_is_refused(route: Route) -> None:
    lines = [line for line in section(route, "Refused").splitlines() if line.startswith("|")]
    for name, values in route.known.refused.items():
        (row,) = [line for line in lines if f"`{name}`" in line.split("|")[1]]
        for value in values:
            assert f"`{orjson.dumps(value).decode()}`".replace(":", ": ") in row, name


@pytest.mark.parametrize(("route", "name"), NO_OPS, ids=lambda value: getattr(value, "title", value))
def test_a_no_op_is_accepted_and_checked(route: Route, name: str) -> None:
    value = NO_OP_VALUES[name]
    assert route.read(**{name: value}) == route.read().model_copy(update={name: value})
    assert route.read(**{name: None}) == route.read()
    with pytest.raises(BadRequest) as refused:
        route.read(**{name: [1]})
    assert refused.value.param == name


@pytest.mark.parametrize(("route", "name"), EXTENSIONS, ids=lambda value: getattr(value, "title", value))
def test_an_extension_is_accepted_and_checked(route: Route, name: str) -> None:
    assert route.read(**{name: EXTENSION_VALUES[name]}) != route.read()
    assert route.read(**{name: None}) == route.read()
    with pytest.raises(BadRequest) as refused:
        route.read(**{name: "some"})
    assert refused.value.param == name


@pytest.mark.parametrize(("route", "name"), REFUSED, ids=lambda value: getattr(value, "title", value))
def test_what_is_refused_is_named(route: Route, name: str) -> None:
    with pytest.raises(UnsupportedParameter) as refused:
        route.read(**{name: REFUSED_VALUES[name]})
    assert (refused.value.status, refused.value.param, refused.value.code) == (400, name, "unsupported_parameter")
    assert f"'{name}' is not supported" in refused.value.message


@pytest.mark.parametrize(("route", "name"), REFUSED, ids=lambda value: getattr(value, "title", value))
def test_what_is_refused_may_ask_for_nothing(route: Route, name: str) -> None:
    for value in (None, *route.known.refused[name]):
        assert route.read(**{name: value}) == route.read()


def test_in_json_false_is_not_nought() -> None:
    with pytest.raises(UnsupportedParameter):
        CHATS.read(store=0)


@of_each_route
def test_a_name_that_nobody_knows_is_refused_as_unknown(route: Route) -> None:
    for name in ("top_a", "prompts", "inputs", "form"):
        with pytest.raises(BadRequest) as refused:
            route.read(**{name: 5})
        assert not isinstance(refused.value, UnsupportedParameter)
        assert (refused.value.param, refused.value.code) == (name, "unknown_parameter")


def test_a_body_of_one_route_is_none_of_another() -> None:
    """A ticket is bound to a body and not to a route, so a body may be good for one route only."""
    for route in ROUTES:
        for other in ROUTES:
            if other is not route:
                with pytest.raises(BadRequest):
                    route.reader(orjson.dumps(other.good))
