"""Completions and embeddings: their prompts in all four forms, their limits, and what they ask for."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.admission import Demand
from penstock.errors import BadRequest
from penstock.models import ServedModel
from penstock.schemas import (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    read_chat_request,
    read_completion_request,
    read_embedding_request,
)
from penstock.schemas.embedding import MAX_INPUTS
from penstock.schemas.prompts import MAX_TOKEN_ID
from penstock.schemas.text import MAX_ANSWERS, MAX_PROMPTS

FREE = {"effective": "2026-01-01", "prompt": 0, "cached_prompt": 0, "completion": 0}


def completion(**parameters: Any) -> CompletionRequest:
    return read_completion_request(orjson.dumps({"model": "m", "prompt": "x", **parameters}))


def embedding(**parameters: Any) -> EmbeddingRequest:
    return read_embedding_request(orjson.dumps({"model": "m", "input": "x", **parameters}))


def refused(read: Any, **parameters: Any) -> BadRequest:
    with pytest.raises(BadRequest) as error:
        read(**parameters)
    return error.value


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
ids = st.lists(st.integers(0, MAX_TOKEN_ID), min_size=1, max_size=20)
several = st.lists(texts, min_size=1, max_size=MAX_PROMPTS) | st.lists(ids, min_size=1, max_size=MAX_PROMPTS)


@given(texts | ids | several)
def test_every_form_is_read_as_it_was_sent(value: Any) -> None:
    many = isinstance(value, list) and not isinstance(value[0], int)
    expected = tuple(one if isinstance(one, str) else tuple(one) for one in (value if many else [value]))
    assert completion(prompt=value).prompts == expected
    assert embedding(input=value).inputs == expected


@given(several, st.integers(1, 2), st.integers(1, 100))
def test_what_is_asked_of_each_prompt(value: list[Any], n: int, limit: int) -> None:
    demands = completion(prompt=value, n=n, max_tokens=limit).demands()
    assert [demand.prompt_tokens for demand in demands] == [None if isinstance(v, str) else len(v) for v in value]
    assert [demand.prompt_bytes for demand in demands] == [len(v.encode()) if isinstance(v, str) else 0 for v in value]
    assert {(demand.messages, demand.max_tokens, demand.choices) for demand in demands} == {(0, limit, n)}


def test_an_embedding_writes_nothing() -> None:
    assert embedding(input=["é", "b"]).demands() == (Demand(2, 0, 0), Demand(1, 0, 0))
    assert embedding().stream is False


def test_the_number_of_prompts_is_bounded() -> None:
    assert len(completion(prompt=["x"] * MAX_PROMPTS).prompts) == MAX_PROMPTS
    assert refused(completion, prompt=["x"] * (MAX_PROMPTS + 1)).param == "prompt"
    assert len(embedding(input=[[1]] * MAX_INPUTS).inputs) == MAX_INPUTS
    assert refused(embedding, input=[[1]] * (MAX_INPUTS + 1)).param == "input"


@pytest.mark.parametrize(("prompts", "n"), [(64, 2), (16, 8), (1, 8)])
def test_the_answers_to_all_prompts_are_bounded(prompts: int, n: int) -> None:
    assert completion(prompt=["x"] * prompts, n=n).choices == n
    assert refused(completion, prompt=["x"] * (MAX_ANSWERS // n + 1), n=n).param in ("n", "prompt")


def test_a_completion_may_begin_with_nothing_and_an_embedding_may_not() -> None:
    assert completion(prompt="").prompts == ("",)
    assert refused(embedding, input="").param == "input"


@pytest.mark.parametrize(
    ("parameters", "limit"),
    [({}, 16), ({"max_tokens": None}, 16), ({"max_tokens": 5}, 5), ({"max_tokens": 0, "echo": True}, 0)],
)
def test_the_most_tokens_of_a_completion(parameters: dict[str, Any], limit: int) -> None:
    assert completion(**parameters).limit == limit


def test_best_of_is_as_many_as_there_are() -> None:
    assert completion(best_of=1).choices == 1
    assert completion(best_of=3, n=3).choices == 3
    assert refused(completion, best_of=3).code == "unsupported_parameter"


# -- what a model cannot do


def model(**fields: Any) -> ServedModel:
    return ServedModel.model_validate({"name": "m", "source": "x", "context_length": 64, "prices": [FREE], **fields})


def chat(**parameters: Any) -> ChatRequest:
    return read_chat_request(orjson.dumps({"model": "m", "messages": [{"role": "user", "content": "x"}], **parameters}))


@pytest.mark.parametrize(
    ("read", "name"),
    [(completion, "max_tokens"), (chat, "max_tokens"), (chat, "max_completion_tokens"), (chat, "min_tokens")],
)
def test_tokens_that_leave_no_room_for_a_prompt(read: Any, name: str) -> None:
    with pytest.raises(BadRequest) as error:
        read(**{name: 64}).require_fit(model())
    assert (error.value.param, error.value.code) == (name, "context_length_exceeded")
    read(**{name: 63}).require_fit(model())


def test_an_embedding_has_a_size_of_the_table() -> None:
    sized = model(embeddings={"pooling": "mean", "dimensions": [8, 16]})
    embedding().require_fit(sized)
    embedding(dimensions=8).require_fit(sized)
    for unsized, says in ((sized, "one of 8, 16"), (model(embeddings={"pooling": "last"}), "cannot be chosen")):
        with pytest.raises(BadRequest, match=says) as error:
            embedding(dimensions=9).require_fit(unsized)
        assert (error.value.param, error.value.code) == ("dimensions", "invalid_value")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def demands_or_refusal(read: Any, **parameters: Any) -> tuple[Demand, ...] | BadRequest:
    """What becomes of the parameters. Anything else that is raised fails the test."""
    try:
        demands: tuple[Demand, ...] = read(**parameters).demands()
    except BadRequest as error:
        return error
    return demands


PARAMETERS = [
    *((completion, name) for name in ("prompt", "logprobs", "echo", "max_tokens", "n", "best_of", "logit_bias")),
    *((embedding, name) for name in ("input", "dimensions", "encoding_format", "user")),
]


@given(JSON, st.sampled_from(PARAMETERS))
def test_any_json_is_a_request_or_a_bad_request_that_names_it(value: Any, parameter: tuple[Any, str]) -> None:
    read, name = parameter
    outcome = demands_or_refusal(read, **{name: value})
    if isinstance(outcome, BadRequest):
        assert (outcome.param or "").startswith(name)
    else:
        assert outcome
