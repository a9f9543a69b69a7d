"""What happens when a part dies: the client, or the GPU process. The ledger stays right."""

import asyncio
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import openai
import orjson
import pytest
from openai import OpenAI, Stream
from openai.types.chat import ChatCompletionChunk

from penstock.clock import now_ms
from penstock.ledger import LimitName, UsageRecord
from tests.e2e.conftest import CHECKPOINT_TOKENS
from tests.e2e.service import Service, serving, wait_for

pytestmark = pytest.mark.anyio


def begin(client: OpenAI, **options: Any) -> "Stream[ChatCompletionChunk]":
    """A stream that will go on for long."""
    model = client.models.list().data[0].id
    stream: Stream[ChatCompletionChunk] = client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": "go"}],
        max_tokens=10_000,
        temperature=0,  # greedy, the endless model never ends by itself
        stream=True,
        **options,
    )
    return stream


def ask(client: OpenAI) -> Any:
    """A short answer."""
    model = client.models.list().data[0].id
    return client.chat.completions.create(model=model, messages=[{"role": "user", "content": "go"}], max_tokens=2)


def kill_after(service: Service, stream: "Stream[ChatCompletionChunk]", chunks: list[ChatCompletionChunk]) -> None:
    """Collect the stream's chunks, and kill the GPU process once there are 40."""
    for chunk in stream:
        chunks.append(chunk)
        if len(chunks) == 40:
            service.kill_gpu()


async def record_of(service: Service, chunk: ChatCompletionChunk) -> UsageRecord:
    """The request's usage record, once there is one."""
    ledger = await service.ledger()
    request_id = "req_" + chunk.id.removeprefix("chatcmpl-")
    try:
        for _ in range(600):
            if (record := await ledger.record(request_id)) is not None:
                return record
            await asyncio.sleep(0.1)
    finally:
        await ledger.close()
    raise AssertionError("no usage record")


async def live_requests(service: Service, key: str) -> int:
    """How many concurrent requests the ledger counts for the key, which must have such a limit."""
    ledger = await service.ledger()
    caller = await ledger.caller(key.split("_")[1])
    assert caller is not None
    standings = await ledger.standings(caller, now_ms())
    await ledger.close()
    return standings[LimitName.CONCURRENT_REQUESTS].reserved


@pytest.mark.parametrize("delivery", ["relay", "direct"])
async def test_a_client_that_goes_frees_the_slot_and_pays_for_what_it_got(endless: Service, delivery: str) -> None:
    client = endless.client()
    stream = begin(client, extra_headers={"Penstock-Delivery": delivery})
    chunks = [chunk for chunk, _ in zip(stream, range(20), strict=False)]
    stream.close()
    record = await record_of(endless, chunks[0])
    assert record.outcome == "cancelled"
    assert not record.provisional
    assert 0 < record.usage.completion_tokens < 10_000
    # The engine serves one at a time, so the next answer proves that the slot is free.
    answer = client.chat.completions.create(
        model=client.models.list().data[0].id, messages=[{"role": "user", "content": "go"}], max_tokens=2
    )
    assert answer.choices[0].finish_reason == "length"


async def test_a_gpu_process_killed_mid_stream_is_one_error_one_record_and_a_closed_lease(
    endless: Service,
) -> None:
    key = endless.create_key("--concurrent", "8")
    chunks: list[ChatCompletionChunk] = []
    with pytest.raises(openai.APIError) as error:
        kill_after(endless, begin(endless.client(key)), chunks)
    assert error.value.code == "upstream_error"
    received = sum(1 for chunk in chunks if chunk.choices and chunk.choices[0].delta.content)
    assert received >= 20

    record = await record_of(endless, chunks[0])
    assert record.outcome == "lost"
    assert record.provisional
    # Every event holds at least one token, and a checkpoint never runs ahead of the tokens made.
    assert record.usage.completion_tokens > 0
    assert record.usage.completion_tokens >= received - 8 * CHECKPOINT_TOKENS
    ledger = await endless.ledger()
    records = [one for one in await ledger.records() if one.request_id == record.request_id]
    await ledger.close()
    assert len(records) == 1
    assert await live_requests(endless, key) == 0


async def test_an_edge_killed_mid_stream_leaves_the_settlement_to_the_gpu_process(endless: Service) -> None:
    key = endless.create_key("--concurrent", "8")
    client = endless.client(key)
    wait_for("an answer", lambda: _answers(lambda: ask(client)))
    stream = begin(client, extra_headers={"Penstock-Delivery": "relay"})
    chunks = [chunk for chunk, _ in zip(stream, range(20), strict=False)]
    endless.kill("functions.edge.app")
    with pytest.raises((openai.APIError, httpx2.TransportError)):
        chunks.extend(stream)
    record = await record_of(endless, chunks[0])
    assert record.outcome == "cancelled"
    assert not record.provisional
    assert record.usage.completion_tokens >= sum(1 for chunk in chunks if chunk.choices[0].delta.content)
    assert await live_requests(endless, key) == 0
    wait_for("the edge to be back", lambda: _answers(endless.client(key).models.list))


async def test_a_gpu_process_killed_while_the_ledger_is_away_is_settled_by_the_next_one(endless: Service) -> None:
    """The client goes, the ledger does not answer, the process dies: what was generated is booked, once."""
    key = endless.create_key("--concurrent", "8")
    client = endless.client(key)
    wait_for("an answer", lambda: _answers(lambda: ask(client)))
    stream = begin(client, extra_headers={"Penstock-Delivery": "direct"})
    chunks = [chunk for chunk, _ in zip(stream, range(20), strict=False)]
    with locked(endless.data / "ledger.db"):
        stream.close()
        file = wait_for("the settlement on disk", lambda: next((endless.data / "spool").glob("*.json"), None))
        settlement = orjson.loads(file.read_bytes())
        endless.kill_gpu()
    wait_for("the next process to settle it", lambda: not file.exists())
    record = await record_of(endless, chunks[0])
    assert record.outcome == "cancelled"
    assert not record.provisional
    assert record.usage.completion_tokens == settlement["usage"]["completion_tokens"] > 0
    assert await live_requests(endless, key) == 0


@contextmanager
def locked(ledger: Path) -> Iterator[None]:
    """Nobody else can write to the ledger meanwhile."""
    db = sqlite3.connect(ledger, isolation_level=None, timeout=30)
    try:
        db.execute("BEGIN IMMEDIATE")
        yield
    finally:
        db.close()


async def test_a_dead_gpu_process_is_503_before_the_first_byte_and_comes_back(endless: Service) -> None:
    key = endless.create_key("--concurrent", "8")
    client = endless.client(key)
    model = client.models.list().data[0].id

    def ask() -> Any:
        return client.chat.completions.create(model=model, messages=[{"role": "user", "content": "go"}], max_tokens=2)

    wait_for("the GPU process", endless.gpu_pid)
    wait_for("an answer", lambda: _answers(ask))
    endless.kill_gpu()
    with pytest.raises(openai.InternalServerError) as error:
        ask()
    assert error.value.status_code == 503
    assert int(error.value.response.headers["retry-after"]) >= 1
    wait_for("an answer of the restarted process", lambda: _answers(ask))
    assert await live_requests(endless, key) == 0


async def test_a_stream_that_outlives_the_service_ends_with_an_error_and_is_settled(
    tmp_path: Path, endless_model: Path
) -> None:
    with serving(tmp_path / "data", "--model", str(endless_model)) as service:
        stream = begin(service.client(), extra_headers={"Penstock-Delivery": "relay"})
        first = next(iter(stream))
        service.process.send_signal(signal.SIGINT)
        with pytest.raises(openai.APIError) as error:
            list(stream)
        assert error.value.code in ("edge_stopping", "gpu_stopping")
        assert service.process.wait(60) == 0
        record = await record_of(service, first)
        assert record.outcome == "cancelled"
        assert not record.provisional
        assert record.usage.completion_tokens > 0
        assert "Traceback" not in service.logs()


def _answers(ask: Any) -> bool:
    try:
        ask()
    except (openai.InternalServerError, openai.APIConnectionError):
        return False
    return True
