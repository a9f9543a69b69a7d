"""Embeddings: in both forms, in the order of their texts, and booked as prompts alone."""

import asyncio
import base64
import struct
from pathlib import Path
from typing import Any

import orjson
import pytest
from openai.types import CreateEmbeddingResponse

from functions.gpu.engine import EngineError
from penstock.ledger import Usage
from tests.integration.gpu.scripted import ScriptedEngine
from tests.integration.gpu.stand import embedding, standing, until

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("text", [["a", "bc", "def"], [[97], [98, 99], [100, 101, 102]]])
async def test_each_text_has_its_embedding(tmp_path: Path, text: Any) -> None:
    engine = ScriptedEngine()
    async with standing(tmp_path, engine) as stand:
        lease, response = await stand.post(embedding(text))
        record = await stand.record(lease)
    answer = CreateEmbeddingResponse.model_validate_json(response.content)
    assert [one.index for one in answer.data] == [0, 1, 2]
    assert [one.embedding for one in answer.data] == [[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (6, 6)
    assert record is not None
    assert (record.outcome, record.usage) == ("completed", Usage(6, 0, 0))
    assert record.nano == 6 * lease.price.prompt
    assert engine.begun[0].owner == "acme"


async def test_base64_is_little_endian_float32(tmp_path: Path) -> None:
    async with standing(tmp_path, ScriptedEngine()) as stand:
        _, response = await stand.post(embedding("ab", encoding_format="base64"))
    coded = orjson.loads(response.content)["data"][0]["embedding"]
    assert struct.unpack("<4f", base64.b64decode(coded)) == (0, 0, 1, 0)


async def test_fewer_dimensions_are_fewer_numbers(tmp_path: Path) -> None:
    async with standing(tmp_path, ScriptedEngine()) as stand:
        _, response = await stand.post(embedding("ab", dimensions=3))
    assert orjson.loads(response.content)["data"][0]["embedding"] == [0, 0, 1]


async def test_embeddings_that_fail_cost_nothing(tmp_path: Path) -> None:
    step = asyncio.Event()
    step.set()
    async with standing(tmp_path, ScriptedEngine(step, EngineError("no"))) as stand:
        lease, response = await stand.post(embedding())
        record = await stand.record(lease)
        assert await stand.reserved() == 0
    assert (response.status_code, response.json()["error"]["code"]) == (500, "engine_error")
    assert record is None or (record.outcome, record.nano) == ("error", 0)


async def test_embeddings_are_claimed_before_they_are_answered(tmp_path: Path) -> None:
    go = asyncio.Event()
    engine = ScriptedEngine(go)
    async with standing(tmp_path, engine) as stand, asyncio.TaskGroup() as group:
        answering = group.create_task(stand.post(embedding()))
        await until("it is claimed", lambda: stand.ledger.count("claim") and engine.active)
        assert not answering.done()
        go.set()
    assert answering.result()[1].status_code == 200
