"""Refusals: each has its error, costs nothing, and comes before anything that need not have been done."""

import asyncio
import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest

from functions.gpu import body as body_module
from functions.gpu.engine import EngineError, InvalidGrammar, InvalidPrompt, PromptTooLong, QueueFull
from tests.integration.gpu.scripted import ScriptedEngine
from tests.integration.gpu.stand import (
    CHAT,
    COMPLETIONS,
    EMBEDDINGS,
    Stand,
    chat,
    completion,
    embedding,
    standing,
    until,
)

pytestmark = pytest.mark.anyio

NOT_JSON = b"{this is no JSON"
OTHER_KEYS = "test:" + base64.b64encode(b"another secret of thirty-two byte").decode()


def error_of(response: httpx2.Response) -> dict[str, Any]:
    """The error in OpenAI's envelope."""
    body = orjson.loads(response.content)
    assert body.keys() == {"error"}
    assert body["error"].keys() == {"message", "type", "param", "code"}
    assert response.headers["penstock-gpu"] == "1"
    assert response.headers["x-request-id"].startswith("req_")
    return dict(body["error"])


async def cost_nothing(stand: Stand) -> None:
    """Nothing is set aside, nothing was booked, nothing was generated."""
    assert await stand.reserved() == 0
    assert await stand.ledger.as_ledger().records() == []
    assert stand.engine.begun == []
    assert stand.engine.active == 0


async def test_bad_tickets_are_refused_before_the_body_is_parsed(tmp_path: Path) -> None:
    async with standing(tmp_path, ScriptedEngine("no")) as stand:
        lease = await stand.lease()
        good = stand.ticket(lease, NOT_JSON)
        key_id, payload, signature = good.split(".")
        bad = {
            "forged": stand.ticket(lease, NOT_JSON, keys=OTHER_KEYS),
            "of an unknown key": f"other.{payload}.{signature}",
            "cut": f"{key_id}.{payload}",
            "changed": f"{key_id}.{payload[:-2]}AA.{signature}",
            "malformed": "not a ticket",
            "not ASCII": "t\xe4st",
            "too long": "x" * 5_000,
        }
        answers = {
            what: await stand.http.post(
                CHAT, content=NOT_JSON, headers=[(b"Penstock-Ticket", ticket.encode("latin-1"))]
            )
            for what, ticket in bad.items()
        }
        expired = await stand.http.post(
            CHAT, content=NOT_JSON, headers={"Penstock-Ticket": stand.ticket(lease, NOT_JSON, valid_s=-30)}
        )
        missing = await stand.http.post(CHAT, content=NOT_JSON)
        assert stand.engine.tokenized == 0
        assert await stand.reserved() == 1  # a stranger cannot end the lease
    assert {what: answer.status_code for what, answer in answers.items()} == dict.fromkeys(bad, 401)
    assert len({error_of(answer)["message"] for answer in answers.values()}) == 1
    assert {error_of(answer)["code"] for answer in (*answers.values(), expired, missing)} == {"invalid_ticket"}
    assert "expired" in error_of(expired)["message"]


async def test_a_ticket_comes_once(tmp_path: Path) -> None:
    async with standing(tmp_path, ScriptedEngine("no")) as stand:
        _, body, headers = await stand.prepare(chat())
        ticket = headers["Penstock-Ticket"]
        both = await stand.http.post(CHAT, content=body, headers=headers, params={"ticket": ticket})
        twice = await stand.http.post(CHAT, content=body, params=[("ticket", ticket), ("ticket", ticket)])
        headers_twice = [("Penstock-Ticket", ticket), ("Penstock-Ticket", ticket)]
        repeated = await stand.http.post(CHAT, content=body, headers=headers_twice)
        assert stand.engine.begun == []
    assert {error_of(answer)["code"] for answer in (both, twice, repeated)} == {"invalid_ticket"}


async def test_a_ticket_for_another_model_is_refused(tmp_path: Path) -> None:
    async with standing(tmp_path, ScriptedEngine("no")) as stand:
        lease = await stand.lease()
        object.__setattr__(lease, "model", "other")
        response = await stand.http.post(
            CHAT, content=NOT_JSON, headers={"Penstock-Ticket": stand.ticket(lease, NOT_JSON)}
        )
    assert response.status_code == 403
    assert error_of(response)["code"] == "ticket_model_mismatch"


async def test_a_ticket_for_another_body_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    async with standing(tmp_path, ScriptedEngine("no")) as stand:
        _, _, headers = await stand.prepare(chat())
        response = await stand.http.post(CHAT, content=NOT_JSON, headers=headers)
        await cost_nothing(stand)
    assert response.status_code == 403
    assert error_of(response)["code"] == "ticket_body_mismatch"


async def raw(stand: Stand, head: str, body: bytes = b"") -> bytes:
    """What is answered to bytes as they are, on a connection that stays open for writing."""
    reader, writer = await asyncio.open_connection("127.0.0.1", stand.port)
    writer.write(f"POST {CHAT} HTTP/1.1\r\nHost: test\r\n{head}\r\n".encode() + body)
    await writer.drain()
    answer = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    return answer


async def test_a_bad_ticket_is_refused_without_waiting_for_the_body(tmp_path: Path) -> None:
    async with standing(tmp_path, ScriptedEngine("no")) as stand:
        answer = await raw(stand, "Penstock-Ticket: forged\r\nContent-Length: 1000\r\n")
    assert answer.startswith(b"HTTP/1.1 401 ")


async def test_a_body_that_says_it_is_too_large_is_refused_unread(tmp_path: Path) -> None:
    async with standing(tmp_path, ScriptedEngine("no"), max_body_bytes=2_048) as stand:
        _, _, headers = await stand.prepare(chat())
        answer = await raw(stand, f"Penstock-Ticket: {headers['Penstock-Ticket']}\r\nContent-Length: 2049\r\n")
        await cost_nothing(stand)
    assert answer.startswith(b"HTTP/1.1 413 ")


async def test_a_body_that_turns_out_too_large_is_refused(tmp_path: Path) -> None:
    async with standing(tmp_path, ScriptedEngine("no"), max_body_bytes=2_048) as stand:
        _, _, headers = await stand.prepare(chat())
        head = f"Penstock-Ticket: {headers['Penstock-Ticket']}\r\nTransfer-Encoding: chunked\r\n"
        answer = await raw(stand, head, b"%x\r\n" % 2_049 + b" " * 2_049 + b"\r\n")
        await cost_nothing(stand)
    assert answer.startswith(b"HTTP/1.1 413 ")


async def test_a_body_that_does_not_come_is_not_waited_for_forever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body_module, "BODY_WITHIN_S", 0.05)
    async with standing(tmp_path, ScriptedEngine("no")) as stand:
        _, _, headers = await stand.prepare(chat())
        answer = await raw(stand, f"Penstock-Ticket: {headers['Penstock-Ticket']}\r\nContent-Length: 10\r\n", b"{")
        await cost_nothing(stand)
    assert answer.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(
    ("request_", "param", "code"),
    [
        (chat(tools=[{"type": "function"}]), "tools", "unsupported_parameter"),
        (chat(temperature="hot"), "temperature", "invalid_type"),
        ({"model": "demo", "messages": []}, "messages", "invalid_value"),
        (chat("x" * 1_022), "messages", "context_length_exceeded"),
        (chat("x" * 1_000, max_tokens=22), "max_tokens", "context_length_exceeded"),
        (chat("x" * 1_000, max_completion_tokens=22), "max_completion_tokens", "context_length_exceeded"),
        (completion("x" * 1_025, max_tokens=0, echo=True), "prompt", "context_length_exceeded"),
        (completion(["a", "x" * 1_003], max_tokens=22), "prompt", "context_length_exceeded"),
        (embedding(["a", "x" * 1_025]), "input", "context_length_exceeded"),
        (chat(min_tokens=1_020), "min_tokens", "context_length_exceeded"),
        (chat(logit_bias={"255": 1, "256": 1}), "logit_bias", "invalid_token_id"),
        (chat(stop_token_ids=[7, 256]), "stop_token_ids", "invalid_token_id"),
        (completion([[1], [7, 256]]), "prompt", "invalid_token_id"),
        (embedding([7, 256]), "input", "invalid_token_id"),
        (completion(["a", ""]), "prompt", "invalid_prompt"),
        (embedding("ab", dimensions=5), "dimensions", "invalid_value"),
    ],
)
async def test_a_bad_request_is_named_and_costs_nothing(
    tmp_path: Path, request_: Mapping[str, Any], param: str, code: str
) -> None:
    async with standing(tmp_path, ScriptedEngine("no")) as stand:
        _, response = await stand.post(dict(request_))
        await cost_nothing(stand)
    assert response.status_code == 400
    error = error_of(response)
    assert (error["param"], error["code"]) == (param, code)
    if code == "context_length_exceeded" and param != "min_tokens":
        assert "1024" in error["message"]
        assert any(length in error["message"] for length in ("1025", "1003"))  # the prompt's own
    if code == "invalid_token_id":
        assert "256" in error["message"]
        assert "255" in error["message"]


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "x"}}}},
            "response_format.json_schema.schema",
        ),
        ({"structured_outputs": {"regex": "("}}, "structured_outputs.regex"),
    ],
)
async def test_a_form_that_no_answer_can_be_held_to_is_named(tmp_path: Path, asked: dict[str, Any], param: str) -> None:
    engine = ScriptedEngine("no")
    engine.compiling = InvalidGrammar("there is no such type")
    async with standing(tmp_path, engine) as stand:
        _, response = await stand.post(chat(**asked))
        await cost_nothing(stand)
    assert response.status_code == 400
    error = error_of(response)
    assert (error["param"], error["code"]) == (param, "invalid_schema")
    assert "there is no such type" in error["message"]


async def test_a_model_without_embeddings_gives_none(tmp_path: Path) -> None:
    engine = ScriptedEngine()
    engine.embedding_size = None
    async with standing(tmp_path, engine) as stand:
        _, response = await stand.post(embedding())
        await cost_nothing(stand)
    assert response.status_code == 400
    assert error_of(response)["code"] == "model_not_supported"


async def test_more_embeddings_than_one_answer_holds_are_refused(tmp_path: Path) -> None:
    engine = ScriptedEngine()
    engine.embedding_size = 1 << 21
    async with standing(tmp_path, engine) as stand:
        _, plain = await stand.post(embedding(["a"] * 2))
        await cost_nothing(stand)
        _, coded = await stand.post(embedding(["a"] * 2, encoding_format="base64"))
    assert plain.status_code == 400
    assert (error_of(plain)["param"], error_of(plain)["code"]) == ("input", "answer_too_large")
    assert "at most 1" in error_of(plain)["message"]
    assert coded.status_code == 200


@pytest.mark.parametrize(
    ("request_", "param"), [(chat(), "messages"), (completion(), "prompt"), (embedding(), "input")]
)
async def test_what_the_memory_does_not_hold_is_refused_with_the_numbers(
    tmp_path: Path, request_: dict[str, Any], param: str
) -> None:
    engine = ScriptedEngine(refusal=PromptTooLong(100, 28, 64))
    async with standing(tmp_path, engine) as stand:
        _, response = await stand.post(request_)
        await cost_nothing(stand)
    assert response.status_code == 400
    error = error_of(response)
    assert (error["param"], error["code"]) == (param, "context_length_exceeded")
    assert [number for number in ("100", "28", "128", "64") if number not in error["message"]] == []


@pytest.mark.parametrize(("request_", "path"), [(chat(), COMPLETIONS), (completion(), EMBEDDINGS), (embedding(), CHAT)])
async def test_a_ticket_for_one_route_does_nothing_on_another(
    tmp_path: Path, request_: dict[str, Any], path: str
) -> None:
    """What was reserved for the one need not cover the other."""
    async with standing(tmp_path, ScriptedEngine("no")) as stand:
        _, body, headers = await stand.prepare(request_)
        response = await stand.http.post(path, content=body, headers=headers)
        await cost_nothing(stand)
    assert response.status_code == 400


async def test_a_body_that_is_no_json_is_refused_after_its_ticket_held(tmp_path: Path) -> None:
    async with standing(tmp_path, ScriptedEngine("no")) as stand:
        lease = await stand.lease()
        response = await stand.http.post(
            CHAT, content=NOT_JSON, headers={"Penstock-Ticket": stand.ticket(lease, NOT_JSON)}
        )
        await cost_nothing(stand)
    assert response.status_code == 400
    assert error_of(response)["code"] == "invalid_json"


async def test_the_longest_request_that_fits_is_served(tmp_path: Path) -> None:
    async with standing(tmp_path, ScriptedEngine("a")) as stand:
        _, exactly = await stand.post(chat("x" * 1_000, max_tokens=21))
        _, one_left = await stand.post(chat("x" * 1_020))
    assert exactly.status_code == one_left.status_code == 200
    assert [begun.sampling.max_tokens for begun in stand.engine.begun] == [21, 1]


async def test_a_prompt_over_its_reservation_is_refused_with_the_numbers(tmp_path: Path) -> None:
    async with standing(tmp_path, ScriptedEngine("no")) as stand:
        body = orjson.dumps(chat("x" * 500, max_tokens=10))
        lease = await stand.lease(prompt_bytes=100, max_tokens=10)
        response = await stand.http.post(CHAT, content=body, headers={"Penstock-Ticket": stand.ticket(lease, body)})
        await cost_nothing(stand)
    assert response.status_code == 400
    error = error_of(response)
    assert error["code"] == "reservation_exceeded"
    assert "513" in error["message"]
    assert str(lease.bound.tokens) in error["message"]


async def test_messages_that_the_template_does_not_take_are_refused(tmp_path: Path) -> None:
    engine = ScriptedEngine("no")
    engine.tokenizing = InvalidPrompt("roles must alternate")
    async with standing(tmp_path, engine) as stand:
        _, response = await stand.post(chat())
        await cost_nothing(stand)
    assert response.status_code == 400
    assert error_of(response)["param"] == "messages"
    assert "roles must alternate" in error_of(response)["message"]


@pytest.mark.parametrize(("own", "status"), [(0, 503), (4, 503), (5, 429), (8, 429)])
@pytest.mark.parametrize("route", [chat(stream=True), completion(), embedding()])
async def test_a_full_queue_says_when_to_come_again_and_claims_nothing(
    tmp_path: Path, route: dict[str, Any], own: int, status: int
) -> None:
    """It is the caller's own doing where most of what waits is theirs, and else nobody's."""
    full = QueueFull(8, 8, own=own, retry_after_s=7)
    async with standing(tmp_path, ScriptedEngine(refusal=full)) as stand:
        _, response = await stand.post(route)
        await cost_nothing(stand)
        assert stand.ledger.count("claim") == 0
    assert response.status_code == status
    assert response.headers["retry-after"] == "7"
    error = error_of(response)
    assert error["code"] == "queue_full"
    assert error["type"] == ("rate_limit_error" if status == 429 else "server_error")


async def test_a_bounded_number_of_requests_is_open_and_readiness_says_so(tmp_path: Path) -> None:
    go = asyncio.Event()
    async with standing(tmp_path, ScriptedEngine(go, "done"), max_waiting=1, max_running=1) as stand:
        async with asyncio.TaskGroup() as group:
            open_ones = [group.create_task(stand.post(chat())) for _ in range(3)]
            await until("all are claimed", lambda: stand.ledger.count("claim") == 3)
            _, refused = await stand.post(chat())
            ready = await stand.http.get("/health/ready")
            go.set()
        assert [task.result()[1].status_code for task in open_ones] == [200, 200, 200]
        assert (await stand.http.get("/health/ready")).status_code == 200
    assert (refused.status_code, error_of(refused)["code"]) == (503, "queue_full")
    assert ready.status_code == 503


async def test_an_engine_that_cannot_tokenize_is_our_fault(tmp_path: Path) -> None:
    engine = ScriptedEngine("no")
    engine.tokenizing = EngineError("prompt: hi")
    async with standing(tmp_path, engine) as stand:
        _, response = await stand.post(chat())
        await cost_nothing(stand)
    assert response.status_code == 500
    assert "hi" not in error_of(response)["message"].split()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", CHAT, 405),
        ("GET", COMPLETIONS, 405),
        ("GET", EMBEDDINGS, 405),
        ("POST", "/metrics", 405),
        ("DELETE", "/health", 405),
        ("POST", "/v1/models", 404),
        ("POST", f"{CHAT}/", 404),
        ("GET", "/docs", 404),
        ("GET", "/", 404),
    ],
)
async def test_there_are_no_other_routes(tmp_path: Path, method: str, path: str, status: int) -> None:
    async with standing(tmp_path, ScriptedEngine()) as stand:
        response = await stand.http.request(method, path, params={"ticket": "secret"})
    assert response.status_code == status
    assert error_of(response)["type"] == "invalid_request_error"
    assert "location" not in response.headers
    assert ("allow" in response.headers) == (status == 405)
