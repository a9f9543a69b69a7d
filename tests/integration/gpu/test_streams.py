"""A stream while it runs: what is committed when, what keeps it alive, what is recorded meanwhile."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from penstock.clock import now_ms
from tests.integration.gpu.scripted import ScriptedEngine
from tests.integration.gpu.stand import chat, events, standing, text_of, until

pytestmark = pytest.mark.anyio


async def test_nothing_leaves_before_the_claim_is_acknowledged(tmp_path: Path) -> None:
    begun = asyncio.Event()
    async with standing(tmp_path, ScriptedEngine("a", "b")) as stand:

        async def read() -> str:
            async with stand.stream(chat()) as (_, response):
                begun.set()
                return (await response.aread()).decode()

        stand.ledger.held["claim"] = asyncio.Event()
        reading = asyncio.create_task(read())
        await until("it generates beside the claim", lambda: stand.engine.begun and not stand.engine.active)
        for _ in range(3):  # had anything been sent, it would be here before these
            await stand.http.get("/health")
        assert not begun.is_set()
        assert stand.ledger.count("settle") == 0
        stand.ledger.held["claim"].set()
        assert text_of(events(await reading)) == "ab"


async def test_a_stream_that_waits_is_kept_alive_with_comments(tmp_path: Path) -> None:
    go = asyncio.Event()
    engine = ScriptedEngine(go, "a", "", "b")
    beats = {"heartbeat_after_s": 0.02, "heartbeat_every_s": 0.02}
    async with standing(tmp_path, engine, **beats) as stand, stand.stream(chat()) as (lease, response):
        lines = response.aiter_lines()
        comments = [await anext(lines) for _ in range(5)]
        assert await stand.record(lease) is None
        go.set()
        rest = "\n".join([line async for line in lines])
    assert response.status_code == 200
    assert {line for line in comments if line} == {": waiting for the model"}
    assert text_of(events(rest)) == "ab"


async def test_nothing_is_committed_while_there_is_nothing_to_say(tmp_path: Path) -> None:
    go = asyncio.Event()
    async with standing(tmp_path, ScriptedEngine(go, RuntimeError("late"))) as stand:
        async with asyncio.TaskGroup() as group:
            answering = group.create_task(stand.post(chat(stream=True)))
            await until("it is claimed", lambda: stand.ledger.count("claim") == 1)
            go.set()
        _, response = answering.result()
    assert response.status_code == 500  # not a stream: the status was still open


async def test_a_whole_answer_is_waited_for_without_a_byte(tmp_path: Path) -> None:
    go = asyncio.Event()
    engine = ScriptedEngine(go, "a")
    async with standing(tmp_path, engine, heartbeat_after_s=0.01, heartbeat_every_s=0.01) as stand:
        async with asyncio.TaskGroup() as group:
            answering = group.create_task(stand.post(chat()))
            await until("it generates", lambda: engine.active)
            await asyncio.sleep(0.1)
            go.set()
        _, response = answering.result()
    assert response.content.startswith(b'{"id"')


async def test_checkpoints_record_what_was_used_and_nothing_before_the_first_token(tmp_path: Path) -> None:
    first, second = asyncio.Event(), asyncio.Event()
    engine = ScriptedEngine(first, "a", "b", "c", second, "d")
    often = {"checkpoint_tokens": 4, "checkpoint_every_s": 0.02, "heartbeat_after_s": 0.01}
    async with standing(tmp_path, engine, **often) as stand:
        async with stand.stream(chat("hi")) as (lease, response):
            await until("it is renewed while it waits", lambda: stand.ledger.count("checkpoint") >= 2)
            assert stand.ledger.checkpoints[-1].total_tokens == 0
            first.set()
            await until("what was used is recorded", lambda: stand.ledger.checkpoints[-1].total_tokens == 8)
            second.set()
            await response.aread()
        record = await stand.record(lease)
    assert record is not None
    assert record.usage.total_tokens == 10
    recorded = [usage.total_tokens for usage in stand.ledger.checkpoints]
    assert recorded == sorted(recorded)


async def test_many_tokens_are_recorded_before_the_time_is_up(tmp_path: Path) -> None:
    go = asyncio.Event()
    engine = ScriptedEngine(*"abcdefgh", go)
    rarely = {"checkpoint_tokens": 4, "checkpoint_every_s": 120, "lease_s": 240}
    async with standing(tmp_path, engine, **rarely) as stand, stand.stream(chat()) as (_, response):
        await until("a checkpoint", lambda: stand.ledger.count("checkpoint") >= 1)
        go.set()
        await response.aread()


async def test_dead_leases_of_others_are_closed(tmp_path: Path) -> None:
    async with standing(tmp_path, ScriptedEngine(), expire_every_s=0.01) as stand:
        alive = await stand.lease()
        dead = replace(alive, id="req_dead", deadline=now_ms() - 60_000)
        await stand.ledger.as_ledger().reserve(stand.caller, dead)
        calls = stand.ledger.count("expire")
        await until("it was looked for", lambda: stand.ledger.count("expire") >= calls + 3)
        assert not await stand.ledger.as_ledger().release(dead, now_ms())
        assert await stand.ledger.as_ledger().release(alive, now_ms())


async def test_where_a_schedule_closes_dead_leases_the_process_does_not(tmp_path: Path) -> None:
    async with standing(tmp_path, ScriptedEngine("a"), expire_every_s=0) as stand:
        await stand.post(chat())
        assert stand.ledger.count("expire") == 0


async def test_an_engine_that_says_nothing_for_too_long_counts_as_stuck(tmp_path: Path) -> None:
    never = asyncio.Event()
    engine = ScriptedEngine("a", never)
    async with standing(tmp_path, engine) as stand:
        object.__setattr__(stand.settings, "startup_budget_s", 0.05)  # below what settings allow
        lease, response = await stand.post(chat(stream=True))
        record = await stand.record(lease)
        assert engine.active == 0
    assert events(response.text)[-1]["error"]["code"] == "engine_error"
    assert record is not None
    assert (record.outcome, record.usage.completion_tokens) == ("error", 1)
