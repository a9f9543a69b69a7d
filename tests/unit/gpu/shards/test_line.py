"""A line, read as a request over HTTP would be, and what is reserved and expected for it."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from functions.gpu.shards.line import ENVELOPE_BYTES, TOKEN_BYTES, Terms, read_line, read_shard
from penstock.admission import request_id_of
from penstock.batches.orders import ShardLine
from penstock.errors import ApiError
from penstock.ledger import Account, Caller, Key
from penstock.models import read_models
from tests.integration.gpu.stand import CONFIG, chat, completion, embedding, route_of
from tests.unit.gpu.lease import LEASE
from tests.unit.gpu.shards.entries import shard_line


def terms(**scope: Any) -> Terms:
    model = read_models(CONFIG).get("demo")
    assert model is not None
    caller = Caller(Account("acme", "Acme", 1), Key("k", "acme", "k", "0" * 64, 1, **scope))
    return Terms("batch_1", model, caller, LEASE.price, max_body_bytes=10_000, embedding_size=192)


def line_of(body: dict[str, Any], url: str | None = None) -> ShardLine:
    return ShardLine(line=3, custom_id="c", url=url or route_of(body), body=body)


def test_a_line_has_an_id_of_its_own_and_the_bound_of_what_it_asks() -> None:
    line = read_line(line_of(chat("hello", max_tokens=10)), terms())
    assert (line.number, line.path, orjson.loads(line.body)) == (
        3,
        "/v1/chat/completions",
        chat("hello", max_tokens=10),
    )
    assert line.request_id == request_id_of("batch_1/3")
    assert line.bound.tokens == 16 + 4 + len("hello") + 10


@pytest.mark.parametrize(
    ("body", "least", "most"),
    [
        (chat(max_tokens=10), 1_000, 1_100),
        (chat(), 8_000, 10_000),
        (chat(max_tokens=10, n=4), 1_000, 1_400),
        (chat(max_tokens=10, logprobs=True, top_logprobs=5), 8_000, 12_000),
        (completion("abc", max_tokens=10, logprobs=5), 8_000, 12_000),
        (completion("a" * 500, max_tokens=10, echo=True, logprobs=0), 1_000, 10_000),
        (embedding(["a", "b"]), 2 * 192 * 12, 2 * 192 * 16 + 1_000),
    ],
)
def test_how_long_an_answer_may_be(body: dict[str, Any], least: int, most: int) -> None:
    assert least <= read_line(line_of(body), terms()).answer_bytes <= most


@pytest.mark.parametrize(
    ("context", "expected"), [(500, 500), (1_024, 1_024), (4_096, 1_024), (32_768, 4_096), (131_072, 16_384)]
)
def test_answers_without_a_limit_are_not_expected_to_fill_a_long_context(context: int, expected: int) -> None:
    given = terms()
    long = replace(given, model=given.model.model_copy(update={"context_length": context}))
    line = read_line(line_of(chat("hello")), long)
    assert line.answer_bytes == ENVELOPE_BYTES + TOKEN_BYTES * expected
    assert line.bound.tokens == context  # that is set aside all the same
    said = read_line(line_of(chat("hello", max_tokens=context - 100)), long)
    assert said.answer_bytes == ENVELOPE_BYTES + TOKEN_BYTES * (context - 100)


@pytest.mark.parametrize(
    ("line", "scope", "status", "code"),
    [
        (line_of(chat(), "/v1/models"), {}, 404, "not_found"),
        (line_of(chat(temperature=9)), {}, 400, "invalid_value"),
        (line_of(chat(stream=True)), {}, 400, "unsupported_parameter"),
        (line_of({**chat(), "model": "another"}), {}, 404, "model_not_found"),
        (line_of(chat("x" * 10_000)), {}, 413, "request_too_large"),
        (line_of(chat()), {"models": frozenset({"other"})}, 403, "permission_denied"),
        (line_of(chat()), {"routes": frozenset({"embeddings"})}, 403, "route_not_allowed"),
    ],
)
def test_what_is_refused_is_refused_as_over_http(
    line: ShardLine, scope: dict[str, Any], status: int, code: str
) -> None:
    with pytest.raises(ApiError) as refused:
        read_line(line, terms(**scope))
    assert (refused.value.status, refused.value.code) == (status, code)


def test_a_shard_is_read_line_by_line() -> None:
    lines = [shard_line(number) for number in (3, 5)]
    assert read_shard(b"\n".join(map(orjson.dumps, lines))) == lines
    assert read_shard(b"") == []


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b'{"line":"1"}', orjson.dumps({**shard_line(1), "line": "1"}), b"\n" * 10_001]
)
def test_what_is_no_shard_is_refused_in_one_line(content: bytes) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 (the text is the subject)
        read_shard(content)
    assert "\n" not in str(refused.value)
