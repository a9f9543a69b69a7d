"""A line is taken as its request would be over HTTP, and what is wrong with it is named as there."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from functions.batch.task import EXPECTED_TOKENS, Task, TaskReader
from penstock.errors import ApiError
from penstock.ledger.records import Caller
from penstock.models import ModelTable
from tests.unit.batch.inputs import CALLER, CHAT_URL, MODELS, NOW, TALKER, chat, line, served

EMBEDDINGS = "/v1/embeddings"
COMPLETIONS = "/v1/completions"


def reader(endpoint: str = CHAT_URL, caller: Caller = CALLER, **changes: Any) -> TaskReader:
    return TaskReader(endpoint, caller, MODELS, **{"max_body_bytes": 1_000, "now": NOW, **changes})


def refused(text: bytes, by: TaskReader | None = None) -> ApiError:
    with pytest.raises(ApiError) as error:
        (by or reader()).read(1, text)
    return error.value


def read(text: bytes, endpoint: str = "") -> Task:
    return reader(endpoint).read(7, text)


def test_a_good_line_is_written_for_its_shard() -> None:
    task = read(line("my-1", body=chat("Hé", model="small")) + b"\r")
    assert (task.number, task.model) == (7, "talker")
    assert task.written.endswith(b"\n")
    assert orjson.loads(task.written) == {
        "line": 7,
        "custom_id": "my-1",
        "url": CHAT_URL,
        "body": chat("Hé", model="small"),
    }
    assert task.tokens == task.expected == TALKER.prompt_bound(3, 1) + 8


@pytest.mark.parametrize(
    ("text", "code", "param", "says"),
    [
        (b'{"custom_id":', "invalid_json_line", None, "not valid JSON: unexpected end of data, at column 14"),
        (b'{"custom_id":"\xff"}', "invalid_json_line", None, "not UTF-8: it is not at byte 15"),
        ('{"a":1}'.encode("utf-16"), "invalid_json_line", None, "not UTF-8: it is not at byte 1"),
        (b"[]", "invalid_json_line", None, "must be a JSON object"),
        (b"{}", "missing_required_parameter", "custom_id", "'custom_id'"),
        (line(custom_id=""), "invalid_value", "custom_id", "from 1 to 512 bytes, not 0"),
        (line(custom_id="é" * 257), "invalid_value", "custom_id", "not 514"),
        (line(custom_id=3), "invalid_type", "custom_id", "must be a string"),  # type: ignore[arg-type]
        (line(priority=1), "unknown_parameter", "priority", "'priority'"),
        (line(method="GET"), "invalid_value", "method", "must be 'POST'"),
        (line(method=None), "invalid_value", "method", "must be 'POST'"),
        (line(url=COMPLETIONS), "url_mismatch", "url", CHAT_URL),
        (line(url=["x"]), "url_mismatch", "url", CHAT_URL),
        (line(body=None), "invalid_type", "body", "must be an object"),
        (line(body={}), "missing_required_parameter", "body.model", "model"),
        (line(body=chat(temperature=3)), "invalid_value", "body.temperature", "temperature"),
        (line(body=chat(messages=[])), "invalid_value", "body.messages", "messages"),
        (line(body=chat(voice="x")), "unknown_parameter", "body.voice", "'voice'"),
        (line(body=chat(store=True)), "unsupported_parameter", "body.store", "'store'"),
        (line(body=chat(stream=True)), "unsupported_parameter", "body.stream", "do not stream"),
        (line(body=chat(model="nobody")), "model_not_found", "body.model", "'nobody'"),
        (line(body=chat(model="embedder")), "model_not_supported", "body.model", "not served at"),
        (line(body=chat(max_tokens=4_096)), "context_length_exceeded", "body.max_tokens", "4096 tokens"),
        (line(body=chat("x" * 1_000)), "request_too_large", "body", "over the limit of 1000 bytes"),
    ],
)
def test_what_is_wrong_is_named(text: bytes, code: str, param: str | None, says: str) -> None:
    error = refused(text)
    assert (error.code, error.param) == (code, param)
    assert says in error.message


def test_each_missing_field_is_named() -> None:
    whole = orjson.loads(line())
    for name in whole:
        error = refused(orjson.dumps({field: value for field, value in whole.items() if field != name}))
        assert (error.code, error.param) == ("missing_required_parameter", name)


def test_a_line_of_any_endpoint_says_its_own() -> None:
    assert read(line(url=COMPLETIONS, body={"model": "talker", "prompt": "Hello"})).model == "talker"
    assert read(line(url=EMBEDDINGS, body={"model": "embedder", "input": ["a", "b"]})).model == "embedder"
    for url in ("/v1/models", None, ["x"]):
        error = refused(line(url=url), reader(""))
        assert (error.code, error.param) == ("invalid_value", "url")


def test_a_custom_id_is_good_once_even_where_its_line_was_refused() -> None:
    reading = reader()
    refused(line("a", body={}), reading)
    error = refused(line("a"), reading)
    assert (error.code, error.param) == ("duplicate_custom_id", "custom_id")
    reading.read(3, line("b"))


def test_what_the_key_may_not_do_is_refused() -> None:
    key = replace(CALLER.key, routes=frozenset({"embeddings"}))
    error = refused(line(), reader(caller=replace(CALLER, key=key)))
    assert (error.code, error.param) == ("route_not_allowed", "url")
    key = replace(CALLER.key, models=frozenset({"other"}))
    error = refused(line(), reader(caller=replace(CALLER, key=key)))
    assert (error.code, error.param) == ("permission_denied", "body.model")


def test_a_model_without_a_price_is_not_served() -> None:
    error = refused(line(), reader(now=0))
    assert error.param == "body"
    assert "no price" in error.message


def test_the_limit_of_the_body_is_that_over_http() -> None:
    filling = 1_000 - len(orjson.dumps(chat("")))
    assert read(line(body=chat("x" * filling))).number == 7
    assert refused(line(body=chat("x" * (filling + 1)))).code == "request_too_large"


def test_spaces_do_not_count_towards_the_limit_of_the_body() -> None:
    spaced = line(body=chat("x" * 800)).replace(b'"body":', b'"body":' + b" " * 500)
    assert read(spaced).number == 7


def test_what_is_read_but_cannot_be_written_is_refused() -> None:
    deep = line(body=0).replace(b'"body":0', b'"body":' + b'{"a":' * 300 + b"1" + b"}" * 300)
    error = refused(deep)
    assert (error.code, error.param, error.message) == ("invalid_value", "body", "body: is nested too deep.")


def test_an_answer_without_a_limit_is_expected_to_be_shorter_than_the_context() -> None:
    task = read(line(body=chat(max_tokens=None)))
    assert task.tokens == TALKER.context_length
    assert task.expected == TALKER.prompt_bound(5, 1) + EXPECTED_TOKENS
    small = TaskReader("", CALLER, ModelTable([served("talker", context_length=512)]), max_body_bytes=1_000, now=NOW)
    assert small.read(1, line(body=chat(max_tokens=None))).expected == 512


def test_prompts_that_begin_alike_have_beginnings_that_do() -> None:
    def told(system: str, content: str) -> bytes:
        messages = [{"role": "system", "content": system}, {"role": "user", "content": content}]
        return read(line(body=chat(messages=messages))).beginning

    assert told("Be brief.", "A").startswith(told("Be brief.", "")[:-1])
    assert read(line(url=COMPLETIONS, body={"model": "talker", "prompt": ["Hello"]})).beginning == b"Hello"
    ids = [read(line(url=COMPLETIONS, body={"model": "talker", "prompt": [[1, 2, last]]})).beginning for last in (3, 4)]
    assert ids[0][:-2] == ids[1][:-2]
