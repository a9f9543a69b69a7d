"""Reading a chat completion's request: what is accepted, what is refused; test_request_errors has how it is said."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.admission import Demand
from penstock.errors import BadRequest
from penstock.schemas import ChatRequest, read_chat_request
from penstock.schemas.chat import MAX_MESSAGES, MAX_PARTS
from penstock.schemas.parameters import CHAT
from penstock.schemas.sampling import MAX_BIASES

HELLO: dict[str, Any] = {"role": "user", "content": "Hello!"}


def body(**changes: Any) -> bytes:
    """A request's body."""
    return orjson.dumps({"model": "m", "messages": [HELLO], **changes})


def read(**changes: Any) -> ChatRequest:
    """The request with these parameters."""
    return read_chat_request(body(**changes))


def refusal(data: bytes) -> BadRequest:
    """The error that the body meets."""
    with pytest.raises(BadRequest) as refused:
        read_chat_request(data)
    return refused.value


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b"\xff", "invalid_json"),
        (b"\xef\xbb\xbf" + body(), "invalid_json"),
        (body()[:-1] + b',"temperature":NaN}', "invalid_json"),
        (body()[:-1] + b',"temperature":-Infinity}', "invalid_json"),
        (body()[:-1] + b',"temperature":1e999}', "invalid_json"),
        (b'{"model":"\\ud800"}', "invalid_json"),
        (b'{"\\udfff":1}', "invalid_json"),
        (b"[" * 200_000, "invalid_json"),
        (b'{"a":' * 200_000, "invalid_json"),
        (b"null", "invalid_type"),
        (b"[]", "invalid_type"),
        (b'"model"', "invalid_type"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_body_that_is_no_json_object(data: bytes, code: str) -> None:
    error = refusal(data)
    assert (error.param, error.code) == (None, code)


@pytest.mark.parametrize("digits", [20, 400, 5_000])
def test_a_number_of_many_digits_is_refused(digits: int) -> None:
    for name in ("max_tokens", "seed", "temperature", "n"):
        assert refusal(body()[:-1] + f',"{name}":{"9" * digits}}}'.encode()).status == 400


@pytest.mark.parametrize("name", ["metadata", "stop", "tools", "response_format", "messages", "unheard_of"])
def test_nesting_as_deep_as_json_may_be_is_refused_by_name(name: str) -> None:
    for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
        deep = opening * 1_000 + b"1" + closing * 1_000
        assert (refusal(body()[:-1] + f',"{name}":'.encode() + deep + b"}").param or "").startswith(name)


def test_of_a_name_given_twice_the_last_counts() -> None:
    """As in every JSON parser in use; the GPU process reads the same bytes with the same one."""
    assert read_chat_request(body()[:-1] + b',"model":"other"}').model == "other"
    assert refusal(body()[:-1] + b',"n":1,"n":9}').param == "n"


def test_a_long_name_is_not_sent_back_whole() -> None:
    assert len(refusal(body(**{"x" * 100_000: 1})).message) < 200
    assert len(refusal(body(messages=[{**HELLO, "x" * 100_000: 1}])).message) < 200


@pytest.mark.parametrize(("count", "param"), [(MAX_MESSAGES, None), (MAX_MESSAGES + 1, "messages")])
def test_the_number_of_messages_is_bounded(count: int, param: str | None) -> None:
    data = body(messages=[HELLO] * count)
    assert param is None or refusal(data).param == param
    assert param is not None or len(read_chat_request(data).messages) == count


def test_the_number_of_parts_is_bounded() -> None:
    part = {"type": "text", "text": "x"}
    read(messages=[{"role": "user", "content": [part] * MAX_PARTS}])
    assert refusal(body(messages=[{"role": "user", "content": [part] * (MAX_PARTS + 1)}])).code == "invalid_value"


def test_text_parts_are_joined_by_a_line_break() -> None:
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    assert read(messages=[{"role": "user", "content": parts}]).messages[0].content == "one\ntwo"


def test_the_prompts_bytes_are_those_of_utf8() -> None:
    assert read(messages=[{"role": "user", "content": "é€😀"}, HELLO]).prompt_bytes == 2 + 3 + 4 + 6


@pytest.mark.parametrize(
    ("changes", "limit", "param"),
    [
        ({}, None, "max_tokens"),
        ({"max_tokens": 5}, 5, "max_tokens"),
        ({"max_completion_tokens": 6}, 6, "max_completion_tokens"),
        ({"max_tokens": 7, "max_completion_tokens": 7}, 7, "max_completion_tokens"),
        ({"max_tokens": None, "max_completion_tokens": 8}, 8, "max_completion_tokens"),
    ],
)
def test_the_limit_of_tokens_goes_by_either_name(changes: dict[str, Any], limit: int | None, param: str) -> None:
    call = read(**changes)
    assert call.limit == limit
    assert limit is None or call.limit_param == param


@pytest.mark.parametrize(
    ("stop", "stops"), [(None, ()), ([], ()), ("a", ("a",)), (["a", "b"], ("a", "b")), ("\n\n", ("\n\n",))]
)
def test_stop_is_a_string_or_several(stop: Any, stops: tuple[str, ...]) -> None:
    assert read(stop=stop).stop == stops


def test_whole_numbers_are_numbers() -> None:
    call = read(temperature=1, top_p=0)
    assert (call.temperature, call.top_p) == (1.0, 0.0)


def test_sixteen_point_zero_is_sixteen() -> None:
    """JSON has one kind of number, and JSON Schema calls 16.0 an integer."""
    call = read(max_tokens=16.0, seed=-3.0, n=2.0, top_k=5.0, stop_token_ids=[7.0])
    assert (call.limit, call.seed, call.choices, call.top_k, call.stop_token_ids) == (16, -3, 2, 5, (7,))
    assert {type(number) for number in (call.limit, call.seed, call.n, call.top_k, *call.stop_token_ids)} == {int}


@pytest.mark.parametrize(("top_k", "meant"), [(None, None), (-1, 0), (-1.0, 0), (0, 0), (1, 1)])
def test_all_tokens_have_two_names(top_k: Any, meant: int | None) -> None:
    assert read(top_k=top_k).top_k == meant


def test_biases_are_by_token_id() -> None:
    assert read(logit_bias={"0": -100, "2147483647": 0.5}).logit_bias == {0: -100.0, 2147483647: 0.5}
    assert read(logit_bias={}).logit_bias == read(logit_bias=None).logit_bias == {}
    read(logit_bias={str(token): 1 for token in range(MAX_BIASES)})
    assert refusal(body(logit_bias={str(token): 1 for token in range(MAX_BIASES + 1)})).param == "logit_bias"


def test_probabilities_without_alternatives() -> None:
    assert read(logprobs=True).top_logprobs is None
    assert read(logprobs=False, top_logprobs=0).logprobs is False
    assert read(top_logprobs=None).top_logprobs is None


def test_what_is_asked_of_the_prompt() -> None:
    assert read(messages=[HELLO] * 2, n=3, max_tokens=5).demands() == (Demand(12, 2, 5, 3),)
    assert read().demands() == (Demand(6, 1, None, 1),)


def test_include_usage_is_for_streams() -> None:
    assert read(stream=True, stream_options={"include_usage": True}).include_usage
    assert not read(stream=True, stream_options={"include_obfuscation": True}).include_usage
    assert not read(stream=True, stream_options=None).include_usage
    assert not read().include_usage


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
PARAMETERS = ("n", "temperature", "logit_bias", "response_format", "structured_outputs", "stop_token_ids")
NAMES = st.sampled_from(sorted(CHAT.accepted | set(CHAT.refused)))
MESSAGE_FIELDS = st.sampled_from(["role", "content", "name", "refusal", "tool_calls", "audio"])
MESSAGE = st.dictionaries(MESSAGE_FIELDS, JSON | st.sampled_from(["user", "assistant"]), max_size=4)
BODY = st.dictionaries(NAMES | st.text(max_size=8), JSON, max_size=6) | st.fixed_dictionaries(
    {"model": st.text(max_size=4), "messages": st.lists(MESSAGE | JSON, max_size=3)},
    optional=dict.fromkeys(("stop", "metadata", "stream_options", "stream", "seed", *PARAMETERS), JSON),
)


def read_or_refused(data: bytes) -> ChatRequest | BadRequest:
    """What becomes of the body. Anything else that is raised fails the test."""
    try:
        return read_chat_request(data)
    except BadRequest as error:
        return error


def holds(outcome: ChatRequest | BadRequest) -> bool:
    """Whether a request can be counted, and a refusal says why and can be sent."""
    if isinstance(outcome, ChatRequest):
        return outcome.prompt_bytes >= 0
    says = outcome.param is not None or outcome.code in ("invalid_json", "invalid_type")
    return says and bool(outcome.code) and bool(orjson.dumps(outcome.envelope()))


@given(JSON | BODY)
def test_any_json_is_a_request_or_a_bad_request_that_says_why(value: Any) -> None:
    assert holds(read_or_refused(orjson.dumps(value)))


@given(st.binary(max_size=200) | st.text(max_size=50).map(lambda text: body()[:-1] + text.encode()))
def test_any_bytes_are_a_request_or_a_bad_request_that_says_why(data: bytes) -> None:
    assert holds(read_or_refused(data))


@given(
    st.integers(1, 2**31 - 1) | st.none(), st.floats(0, 2), st.floats(0, 1), st.lists(st.text(min_size=1), max_size=4)
)
def test_what_is_good_is_read_as_it_was_sent(limit: int | None, temperature: float, top_p: float, stop: Any) -> None:
    call = read(max_tokens=limit, temperature=temperature, top_p=top_p, stop=stop)
    assert (call.limit, call.temperature, call.top_p, list(call.stop)) == (limit, temperature, top_p, stop)
