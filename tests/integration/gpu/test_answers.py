"""An answer: whole and streamed, as OpenAI's client reads it, and booked as it says."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from functions.gpu.engine import GrammarKind, GrammarSpec, Sampling
from tests.integration.gpu.scripted import ScriptedEngine, ScriptedGrammar
from tests.integration.gpu.stand import chat, events, standing, text_of

pytestmark = pytest.mark.anyio

EXTENSIONS: dict[str, Any] = {
    "max_tokens": 9,
    "presence_penalty": 0.5,
    "frequency_penalty": -0.5,
    "logit_bias": {"5": -3.5},
    "top_k": 4,
    "min_p": 0.25,
    "repetition_penalty": 1.5,
    "min_tokens": 2,
    "ignore_eos": True,
    "stop_token_ids": [2, 3],
}


async def test_a_whole_answer_is_booked_as_it_says(tmp_path: Path) -> None:
    async with standing(tmp_path, ScriptedEngine("Hel", "", "lo")) as stand:
        lease, response = await stand.post(chat("hi"))
        answer = ChatCompletion.model_validate_json(response.content)
        record = await stand.record(lease)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"] == lease.id
    assert response.headers["penstock-gpu"] == "1"
    assert answer.id == f"chatcmpl-{lease.id.removeprefix('req_')}"
    assert answer.model == "demo"
    assert answer.choices[0].message.content == "Hello"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (5, 4, 9)
    assert record is not None
    assert (record.usage.prompt_tokens, record.usage.completion_tokens) == (5, 4)
    assert record.outcome == "completed"
    assert not record.provisional
    assert record.nano == record.usage.cost(lease.price)


async def test_a_stream_begins_with_the_role_and_ends_with_done(tmp_path: Path) -> None:
    async with standing(tmp_path, ScriptedEngine("Hel", "", "lo")) as stand:
        lease, response = await stand.post(chat("hi", stream=True))
        record = await stand.record(lease)
    *chunks, done = events(response.text)
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-accel-buffering"] == "no"
    assert response.headers["x-request-id"] == lease.id
    assert done == "[DONE]"
    assert [chunk["choices"][0]["delta"] for chunk in chunks] == [
        {"role": "assistant", "content": "", "refusal": None},
        {"content": "Hel"},
        {"content": "lo"},
        {},
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None, None, None, "stop"]
    assert all("usage" not in chunk for chunk in chunks)
    assert len({ChatCompletionChunk.model_validate(chunk).id for chunk in chunks}) == 1
    assert record is not None
    assert record.usage.total_tokens == 9


async def test_include_usage_adds_a_last_chunk_and_null_to_every_other(tmp_path: Path) -> None:
    async with standing(tmp_path, ScriptedEngine("Hello")) as stand:
        lease, response = await stand.post(chat(stream=True, stream_options={"include_usage": True}))
        record = await stand.record(lease)
    *chunks, last, done = events(response.text)
    assert done == "[DONE]"
    assert all(chunk["usage"] is None for chunk in chunks)
    assert last["choices"] == []
    assert record is not None
    assert last["usage"] == {
        "prompt_tokens": record.usage.prompt_tokens,
        "completion_tokens": record.usage.completion_tokens,
        "total_tokens": record.usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": 0},
    }


async def test_text_of_any_script_arrives_as_it_was_said(tmp_path: Path) -> None:
    said = ["Grüße ", "🦀", " 日本", "\u2028", '"\\\n', "e\u0301", "👩‍👩‍👧"]
    async with standing(tmp_path, ScriptedEngine(*said)) as stand:
        _, streamed = await stand.post(chat("ünï", stream=True))
        _, whole = await stand.post(chat("ünï"))
    assert text_of(events(streamed.text)) == "".join(said)
    assert orjson.loads(whole.content)["choices"][0]["message"]["content"] == "".join(said)


async def test_an_answer_without_a_word_is_still_an_answer(tmp_path: Path) -> None:
    async with standing(tmp_path, ScriptedEngine()) as stand:
        _, response = await stand.post(chat(stream=True))
    first, last, done = events(response.text)
    assert first["choices"][0]["delta"]["role"] == "assistant"
    assert last["choices"][0]["finish_reason"] == "stop"
    assert done == "[DONE]"


async def test_what_was_asked_for_reaches_the_engine(tmp_path: Path) -> None:
    engine = ScriptedEngine("a", "b", "c")
    async with standing(tmp_path, engine) as stand:
        _, plain = await stand.post(chat("hi"))
        _, tuned = await stand.post(
            chat("hi", max_completion_tokens=2, temperature=0, top_p=0.5, seed=7, stop=["x", "y"])
        )
        _, extended = await stand.post(chat("hi", **EXTENSIONS, structured_outputs={"choice": ["yes", "no"]}))
    assert plain.status_code == tuned.status_code == extended.status_code == 200
    assert engine.begun[0].sampling == Sampling(max_tokens=1_024 - 5)
    assert engine.begun[1].sampling == Sampling(max_tokens=2, temperature=0, top_p=0.5, seed=7, stop=("x", "y"))
    assert engine.begun[2].sampling == Sampling(
        grammar=ScriptedGrammar(GrammarSpec(GrammarKind.CHOICE, '["yes","no"]')),
        **{**EXTENSIONS, "logit_bias": {5: -3.5}, "stop_token_ids": frozenset({2, 3})},
    )
    assert orjson.loads(tuned.content)["choices"][0]["finish_reason"] == "length"


async def test_a_ticket_in_the_query_is_as_good(tmp_path: Path) -> None:
    async with standing(tmp_path, ScriptedEngine("Hello")) as stand:
        _, body, headers = await stand.prepare(chat())
        response = await stand.http.post(
            "/v1/chat/completions", content=body, params={"ticket": headers["Penstock-Ticket"]}
        )
    assert response.status_code == 200


async def test_health_says_what_is_served(tmp_path: Path) -> None:
    async with standing(tmp_path, ScriptedEngine()) as stand:
        alive = await stand.http.get("/health")
        ready = await stand.http.get("/health/ready")
    assert alive.status_code == 200
    assert ready.json() == {"status": "ready", "model": "demo", "context_length": 1_024}
    assert ready.headers["penstock-gpu"] == "1"
