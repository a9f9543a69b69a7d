"""Reading a chat completion's request: what is accepted, what is refused, and how it is said."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import BadRequest
from penstock.schemas import ChatRequest, read_chat_request
from penstock.schemas.chat import MAX_MESSAGES, MAX_PARTS
from penstock.schemas.parameters import HONOURED, NO_OPS, REFUSED

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


# The body's change, and the error's param, code and message: what users see, so pinned.
SHAPES: list[tuple[dict[str, Any], str, str, str]] = [
    ({"model": None}, "model", "invalid_type", "model: input should be a valid string."),
    ({"model": ""}, "model", "invalid_value", "model: string should have at least 1 character."),
    ({"messages": []}, "messages", "invalid_value", "messages: list should have at least 1 item after validation, not 0."),
    ({"messages": "Hello!"}, "messages", "invalid_type", "messages: must be a list."),
    ({"messages": ["Hello!"]}, "messages[0]", "invalid_type", "messages[0]: must be an object."),
    ({"messages": [HELLO, {"role": "user"}]}, "messages[1].content", "missing_required_parameter", "messages[1].content: field required."),
    ({"messages": [{"content": "x"}]}, "messages[0].role", "missing_required_parameter", "messages[0].role: field required."),
    ({"messages": [{"role": "user", "content": None}]}, "messages[0].content", "invalid_type", "messages[0].content: must be a string or a list of text parts."),
    ({"messages": [{"role": "user", "content": []}]}, "messages[0].content", "invalid_value", "messages[0].content: must have between 1 and 1024 parts."),
    ({"messages": [{"role": "user", "content": ["x"]}]}, "messages[0].content[0]", "invalid_type", "messages[0].content[0]: must be an object."),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url"}]}]}, "messages[0].content[1].type", "unsupported_parameter", "messages[0].content[1].type: only parts of type 'text' are supported."),
    ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0]", "invalid_value", "messages[0].content[0]: a text part has 'type' and 'text', and nothing else."),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": 1}]}]}, "messages[0].content[0].text", "invalid_type", "messages[0].content[0].text: must be a string."),
    ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role", "invalid_value", "messages[0].role: input should be 'system', 'developer', 'user' or 'assistant'."),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role", "unsupported_parameter", "messages[0].role: messages of the role 'tool' are not supported."),
    ({"messages": [{**HELLO, "tool_calls": [{"id": "c"}]}]}, "messages[0].tool_calls", "unsupported_parameter", "messages[0].tool_calls: is not supported."),
    ({"messages": [{**HELLO, "tone": "dry"}]}, "messages[0].tone", "unknown_parameter", "messages[0].tone: extra inputs are not permitted."),
    ({"max_tokens": 0}, "max_tokens", "invalid_value", "max_tokens: input should be greater than or equal to 1."),
    ({"max_tokens": 1.5}, "max_tokens", "invalid_type", "max_tokens: input should be a valid integer."),
    ({"max_tokens": "16"}, "max_tokens", "invalid_type", "max_tokens: input should be a valid integer."),
    ({"max_tokens": True}, "max_tokens", "invalid_type", "max_tokens: input should be a valid integer."),
    ({"max_tokens": 1, "max_completion_tokens": 2}, "max_tokens", "invalid_value", "max_tokens: differs from 'max_completion_tokens'; send one of them."),
    ({"temperature": 2.1}, "temperature", "invalid_value", "temperature: input should be less than or equal to 2."),
    ({"temperature": "1"}, "temperature", "invalid_type", "temperature: input should be a valid number."),
    ({"temperature": True}, "temperature", "invalid_type", "temperature: input should be a valid number."),
    ({"top_p": -0.1}, "top_p", "invalid_value", "top_p: input should be greater than or equal to 0."),
    ({"seed": 2**63}, "seed", "invalid_value", "seed: input should be less than or equal to 9223372036854775807."),
    ({"stop": 1}, "stop", "invalid_type", "stop: must be a string or a list of strings."),
    ({"stop": ["a", None]}, "stop", "invalid_type", "stop: must be a string or a list of strings."),
    ({"stop": [""]}, "stop", "invalid_value", "stop: at most 4 strings of 1 to 256 characters."),
    ({"stop": ["a"] * 5}, "stop", "invalid_value", "stop: at most 4 strings of 1 to 256 characters."),
    ({"stream": "yes"}, "stream", "invalid_type", "stream: input should be a valid boolean."),
    ({"stream": 1}, "stream", "invalid_type", "stream: input should be a valid boolean."),
    ({"stream_options": {"include_usage": True}}, "stream_options", "invalid_value", "stream_options: is only allowed when 'stream' is true."),
    ({"stream": True, "stream_options": True}, "stream_options", "invalid_type", "stream_options: must be an object."),
    ({"stream": True, "stream_options": {"usage": True}}, "stream_options.usage", "unknown_parameter", "stream_options.usage: extra inputs are not permitted."),
    ({"metadata": {"a": 1}}, "metadata.a", "invalid_type", "metadata.a: input should be a valid string."),
    ({"metadata": []}, "metadata", "invalid_type", "metadata: must be an object."),
    ({"tools": [{}]}, "tools", "unsupported_parameter", "'tools' is not supported. It may only be null or []."),
    ({"n": 2}, "n", "unsupported_parameter", "'n' is not supported. It may only be null or 1."),
    ({"top_k": 5}, "top_k", "unknown_parameter", "Unknown parameter: 'top_k'."),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "param", "code", "message"), SHAPES, ids=lambda value: str(value)[:40])
def test_the_error_names_what_is_wrong(changes: dict[str, Any], param: str, code: str, message: str) -> None:
    error = refusal(body(**changes))
    assert error.envelope() == {
        "error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    }
    assert error.status == 400


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
    assert refusal(body()[:-1] + b',"n":1,"n":2}').param == "n"


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
    call = read(max_tokens=16.0, seed=-3.0, n=1.0)
    assert (call.limit, call.seed) == (16, -3)
    assert (type(call.limit), type(call.seed)) == (int, int)


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
NAMES = st.sampled_from(sorted(HONOURED | NO_OPS | set(REFUSED)))
MESSAGE_FIELDS = st.sampled_from(["role", "content", "name", "refusal", "tool_calls", "audio"])
MESSAGE = st.dictionaries(MESSAGE_FIELDS, JSON | st.sampled_from(["user", "assistant"]), max_size=4)
BODY = st.dictionaries(NAMES | st.text(max_size=8), JSON, max_size=6) | st.fixed_dictionaries(
    {"model": st.text(max_size=4), "messages": st.lists(MESSAGE | JSON, max_size=3)},
    optional=dict.fromkeys(("stop", "metadata", "stream_options", "stream", "seed", "n", "temperature"), JSON),
)


def read_or_refused(data: bytes) -> ChatRequest | None:
    """The request, or None where it was refused as it must be."""
    try:
        return read_chat_request(data)
    except BadRequest as error:
        assert error.code is not None
        assert error.param is not None or error.code in ("invalid_json", "invalid_type")
        orjson.dumps(error.envelope())
        return None


@given(JSON | BODY)
def test_any_json_is_a_request_or_a_bad_request_that_says_why(value: Any) -> None:
    call = read_or_refused(orjson.dumps(value))
    assert call is None or call.prompt_bytes >= 0


@given(st.binary(max_size=200) | st.text(max_size=50).map(lambda text: body()[:-1] + text.encode()))
def test_any_bytes_are_a_request_or_a_bad_request_that_says_why(data: bytes) -> None:
    read_or_refused(data)


@given(
    st.integers(1, 2**31 - 1) | st.none(), st.floats(0, 2), st.floats(0, 1), st.lists(st.text(min_size=1), max_size=4)
)
def test_what_is_good_is_read_as_it_was_sent(limit: int | None, temperature: float, top_p: float, stop: Any) -> None:
    call = read(max_tokens=limit, temperature=temperature, top_p=top_p, stop=stop)
    assert (call.limit, call.temperature, call.top_p, list(call.stop)) == (limit, temperature, top_p, stop)
