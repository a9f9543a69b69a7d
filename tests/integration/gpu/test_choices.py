"""Several answers to one request: what is said of each, and one bill for all."""

import asyncio
from pathlib import Path

import orjson
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from penstock.ledger import Usage
from tests.integration.gpu.scripted import ScriptedEngine
from tests.integration.gpu.stand import chat, events, standing, until

pytestmark = pytest.mark.anyio

SCRIPT = (("a", "x", "1"), ("b", "y", "2"), "!")


async def test_every_choice_is_there_and_all_are_booked_with_one_prompt(tmp_path: Path) -> None:
    engine = ScriptedEngine(*SCRIPT)
    async with standing(tmp_path, engine) as stand:
        lease, response = await stand.post(chat("hi", n=3))
        record = await stand.record(lease)
    answer = ChatCompletion.model_validate_json(response.content)
    assert [(choice.index, choice.message.content) for choice in answer.choices] == [(0, "ab!"), (1, "xy!"), (2, "12!")]
    assert {choice.finish_reason for choice in answer.choices} == {"stop"}
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (5, 3 * 4)
    assert record is not None
    assert record.usage == Usage(5, 0, 12)
    assert record.nano == record.usage.cost(lease.price)
    assert engine.begun[0].sampling.n == 3


async def test_the_chunks_of_a_stream_are_interleaved(tmp_path: Path) -> None:
    async with standing(tmp_path, ScriptedEngine(*SCRIPT)) as stand:
        _, response = await stand.post(chat("hi", n=3, stream=True, stream_options={"include_usage": True}))
    *chunks, last, done = events(response.text)
    assert done == "[DONE]"
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == 12
    parts = [ChatCompletionChunk.model_validate(chunk).choices[0] for chunk in chunks]
    assert [part.index for part in parts] == [0, 0, 1, 1, 2, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2]
    for index, said in enumerate(("ab!", "xy!", "12!")):
        own = [part for part in parts if part.index == index]
        assert own[0].delta.role == "assistant"
        assert "".join(part.delta.content or "" for part in own) == said
        assert [part.finish_reason for part in own] == [None] * 4 + ["stop"]


async def test_what_was_cached_is_cheaper_and_said(tmp_path: Path) -> None:
    async with standing(tmp_path, ScriptedEngine("a", cached=4)) as stand:
        lease, response = await stand.post(chat("hi", n=2))
        record = await stand.record(lease)
    assert orjson.loads(response.content)["usage"]["prompt_tokens_details"] == {"cached_tokens": 4}
    assert record is not None
    assert record.usage == Usage(5, 4, 4)
    price = lease.price
    assert record.nano == price.prompt + 4 * price.cached_prompt + 4 * price.completion


async def test_leaving_in_the_middle_is_booked_as_the_sum_so_far(tmp_path: Path) -> None:
    never = asyncio.Event()
    engine = ScriptedEngine("a", ("b", "y"), never)
    async with standing(tmp_path, engine) as stand:
        async with stand.stream(chat("hi", n=2)) as (lease, response):
            chunks = response.aiter_text()
            while '"content":"y"' not in await anext(chunks):
                pass
        await until("the slot is free", lambda: engine.active == 0)
        record = await stand.booked(lease)
    assert (record.outcome, record.usage) == ("cancelled", Usage(5, 0, 4))


async def test_whose_request_it_is_reaches_the_engine(tmp_path: Path) -> None:
    engine = ScriptedEngine("a")
    async with standing(tmp_path, engine) as stand:
        await stand.post(chat())
    assert engine.begun[0].owner == "acme"


async def test_probabilities_are_told_with_their_tokens(tmp_path: Path) -> None:
    async with standing(tmp_path, ScriptedEngine("né", "", "!")) as stand:
        _, response = await stand.post(chat(logprobs=True, top_logprobs=2))
        _, streamed = await stand.post(chat(logprobs=True, top_logprobs=2, stream=True))
    answer = ChatCompletion.model_validate_json(response.content)
    assert answer.choices[0].logprobs is not None
    tokens = answer.choices[0].logprobs.content or []
    assert [(token.token, token.bytes, token.logprob) for token in tokens] == [
        ("né", [110, 195, 169], -0.5),
        ("", [], -0.5),
        ("!", [33], -0.5),
    ]
    assert [[top.token for top in token.top_logprobs] for token in tokens] == [["né", "0"], ["", "0"], ["!", "0"]]
    chunks = [ChatCompletionChunk.model_validate(event) for event in events(streamed.text)[:-1]]
    logprobs = [chunk.choices[0].logprobs for chunk in chunks]
    assert [token for one in logprobs if one is not None for token in one.content or []] == tokens
