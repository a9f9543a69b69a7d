"""The engine or the ledger fails, at every moment: the client is told, and the books are right."""

import asyncio
from pathlib import Path

import pytest

from functions.gpu.engine import EngineError, QueueFull
from tests.integration.gpu.scripted import ScriptedEngine, Step
from tests.integration.gpu.stand import chat, events, standing, text_of, until

pytestmark = pytest.mark.anyio

SECRET = "do not repeat this"


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("error", [EngineError(SECRET), RuntimeError(SECRET)])
async def test_an_engine_that_fails_before_the_first_token(tmp_path: Path, error: Exception, stream: bool) -> None:
    step = asyncio.Event()
    step.set()
    async with standing(tmp_path, ScriptedEngine(step, error)) as stand:
        lease, response = await stand.post(chat(stream=stream))
        assert await stand.reserved() == 0
        record = await stand.record(lease)
    assert response.status_code == 500
    assert response.json()["error"]["type"] == "server_error"
    assert SECRET not in response.text
    assert record is None or (record.outcome, record.nano) == ("error", 0)


async def test_an_engine_that_fails_after_tokens_has_them_booked(tmp_path: Path) -> None:
    async with standing(tmp_path, ScriptedEngine("a", "b", EngineError(SECRET))) as stand:
        lease, response = await stand.post(chat("hi", stream=True))
        record = await stand.record(lease)
    *chunks, last = events(response.text)
    assert text_of(chunks) == "ab"
    assert last["error"]["code"] == "engine_error"
    assert SECRET not in response.text
    assert record is not None
    assert (record.outcome, record.usage.prompt_tokens, record.usage.completion_tokens) == ("error", 5, 2)


async def test_an_engine_that_fails_after_tokens_of_a_whole_answer_is_an_error(tmp_path: Path) -> None:
    async with standing(tmp_path, ScriptedEngine("a", EngineError(SECRET))) as stand:
        lease, response = await stand.post(chat())
        record = await stand.record(lease)
    assert response.status_code == 500
    assert record is not None
    assert (record.outcome, record.usage.completion_tokens) == ("error", 1)


async def test_a_queue_that_turns_out_full_late_is_settled_with_nothing(tmp_path: Path) -> None:
    go = asyncio.Event()
    async with standing(tmp_path, ScriptedEngine(go, QueueFull(8, 8))) as stand:
        async with asyncio.TaskGroup() as group:
            answering = group.create_task(stand.post(chat()))
            await until("it is claimed", lambda: stand.ledger.count("claim"))
            go.set()
        lease, response = answering.result()
        record = await stand.record(lease)
        assert await stand.reserved() == 0
    assert (response.status_code, response.json()["error"]["code"]) == (503, "queue_full")
    assert record is not None
    assert record.nano == 0


async def test_a_neighbour_of_a_failure_goes_on(tmp_path: Path) -> None:
    go = asyncio.Event()
    engine = ScriptedEngine("a", go, "b")
    async with standing(tmp_path, engine) as stand, asyncio.TaskGroup() as group:
        answering = group.create_task(stand.post(chat()))
        await until("it generates", lambda: engine.active)
        engine.script = (EngineError(SECRET),)
        _, failed = await stand.post(chat())
        go.set()
    assert failed.status_code == 500
    assert answering.result()[1].status_code == 200


async def test_without_the_ledger_nothing_is_generated_for_anybody(tmp_path: Path) -> None:
    async with standing(tmp_path, ScriptedEngine("a", "b")) as stand:
        lease, body, headers = await stand.prepare(chat(stream=True))
        stand.ledger.failing = {"claim"}
        response = await stand.http.post("/v1/chat/completions", content=body, headers=headers)
        assert stand.ledger.count("claim") == 3
        assert stand.engine.active == 0
        assert await stand.record(lease) is None
        assert await stand.reserved() == 0
    assert response.status_code == 503
    assert response.json()["error"]["code"] == "ledger_unavailable"
    assert int(response.headers["retry-after"]) > 0


async def test_a_claim_that_fails_at_first_is_tried_again(tmp_path: Path) -> None:
    async with standing(tmp_path, ScriptedEngine("a")) as stand:
        lease, body, headers = await stand.prepare(chat())
        stand.ledger.lost = {"claim"}  # done, but nobody was told
        posting = asyncio.create_task(stand.http.post("/v1/chat/completions", content=body, headers=headers))
        await until("it was tried", lambda: stand.ledger.count("claim") >= 2)
        stand.ledger.lost = set()
        response = await posting
        record = await stand.record(lease)
    assert response.status_code == 200  # the same attempt: its own claim is not taken for another's
    assert record is not None
    assert record.usage.completion_tokens == 2


async def test_a_ledger_that_is_away_for_checkpoints_stops_no_stream(tmp_path: Path) -> None:
    go = asyncio.Event()
    engine = ScriptedEngine("a", go, "b")
    async with standing(tmp_path, engine, checkpoint_every_s=0.01) as stand:
        stand.ledger.failing = {"checkpoint", "expire"}
        async with stand.stream(chat()) as (lease, response):
            await until("it failed often", lambda: stand.ledger.count("checkpoint") >= 3)
            go.set()
            text = (await response.aread()).decode()
        record = await stand.record(lease)
    assert text_of(events(text)) == "ab"
    assert events(text)[-1] == "[DONE]"
    assert record is not None


@pytest.mark.parametrize("stream", [True, False])
async def test_a_ledger_that_is_away_at_the_end_is_settled_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    monkeypatch.setattr("functions.gpu.bookkeeper.SETTLE_WITHIN_S", 0.05)
    async with standing(tmp_path, ScriptedEngine("a")) as stand:
        stand.ledger.failing = {"settle"}
        lease, response = await stand.post(chat(stream=stream))
        assert response.status_code == 200
        assert await stand.record(lease) is None
        stand.ledger.failing = set()
        record = await stand.booked(lease)
        assert await stand.reserved() == 0
    assert (record.outcome, record.usage.total_tokens) == ("completed", 7)


async def test_a_settlement_whose_answer_was_lost_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("functions.gpu.bookkeeper.SETTLE_WITHIN_S", 0.05)
    async with standing(tmp_path, ScriptedEngine("a")) as stand:
        stand.ledger.lost = {"settle"}
        lease, _ = await stand.post(chat())
        await until("it is settled again", lambda: stand.ledger.count("settle") >= 2)
        stand.ledger.lost = set()
        record = await stand.booked(lease)
        rows = await stand.ledger.as_ledger().usage()
    assert record.usage.total_tokens == 7
    assert [(row.requests, row.usage.total_tokens) for row in rows] == [(1, 7)]


async def test_a_lease_that_was_closed_meanwhile_is_settled_late(tmp_path: Path) -> None:
    """The ledger took the process for dead: what it generated after all is booked, once."""
    go = asyncio.Event()
    engine = ScriptedEngine("a", go, "b")
    async with standing(tmp_path, engine, checkpoint_every_s=0.02, lease_s=60) as stand:
        async with stand.stream(chat("hi")) as (lease, response):
            await until(
                "it is recorded", lambda: stand.ledger.checkpoints and stand.ledger.checkpoints[-1].total_tokens
            )
            assert await stand.ledger.as_ledger().expire(lease.deadline + 3_600_000) == [lease.id]
            provisional = await stand.record(lease)
            go.set()
            text = (await response.aread()).decode()
        record = await stand.record(lease)
        rows = await stand.ledger.as_ledger().usage()
    assert text_of(events(text)) == "ab"
    assert provisional is not None
    assert provisional.provisional
    assert record is not None
    assert not record.provisional
    assert record.usage.total_tokens == 5 + 3
    assert [(row.requests, row.usage.total_tokens) for row in rows] == [(1, 8)]


async def test_with_too_much_unsettled_nothing_new_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("functions.gpu.bookkeeper.SETTLE_WITHIN_S", 0.01)
    monkeypatch.setattr("functions.gpu.bookkeeper.MAX_PENDING", 1)
    script: tuple[Step, ...] = ("a",)
    async with standing(tmp_path, ScriptedEngine(*script)) as stand:
        stand.ledger.failing = {"settle"}
        first, _ = await stand.post(chat())
        _, refused = await stand.post(chat())
        ready = await stand.http.get("/health/ready")
        stand.ledger.failing = set()
        await stand.booked(first)
        await stand.ready()
        _, served = await stand.post(chat())
    assert (refused.status_code, ready.status_code, served.status_code) == (503, 503, 200)
