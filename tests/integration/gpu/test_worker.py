"""A worker: each line of a shard is answered once, and billed as it was answered, whatever happens meanwhile."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import pytest

from functions.gpu.engine import EngineError, Event, Sampling
from functions.gpu.shards import admission, answers, attempt, giving_back, shard_log
from penstock.admission import request_id_of
from penstock.batches.addresses import shard_done, work
from penstock.batches.log import Attempt, Begun, Closed, Ended, close, unended
from penstock.batches.orders import Outcome
from penstock.clock import now_ms
from penstock.errors import ApiError, Conflict, NotFound, Unavailable
from penstock.ledger import Limits, Switch, open_ledger
from penstock.objects import open_objects
from tests.integration.gpu.flaky import flaky_ledger, flaky_objects
from tests.integration.gpu.scripted import ScriptedEngine
from tests.integration.gpu.shard_stand import (
    BATCH,
    ShardStand,
    chats,
    number_of,
    order,
    shard_stand,
    statuses,
)
from tests.integration.gpu.stand import chat, completion, embedding, until

pytestmark = pytest.mark.anyio


class PickyEngine(ScriptedEngine):
    """An engine that looks at what it is asked: `held` texts wait, `failing` ones fail, `fatal` ones break it."""

    def __init__(self, *script: Any) -> None:
        super().__init__(*script)
        self.held: dict[str, asyncio.Event] = {}
        self.failing: dict[str, int] = {}  # so many times
        self.fatal: set[str] = set()
        self.most = 0  # that were active at once
        self.asked: list[str] = []

    async def generate(
        self, prompts: Sequence[Sequence[int]], sampling: Sampling, *, owner: str = ""
    ) -> AsyncGenerator[Event, None]:
        text = bytes(prompts[0][3:]).decode()
        self.asked.append(text)
        self.most = max(self.most, self.active + 1)
        if text in self.fatal:
            self.alive = False
            raise EngineError("it broke")
        if self.failing.get(text, 0) > 0:
            self.failing[text] -= 1
            raise EngineError("it failed")
        async for event in super().generate(prompts, sampling, owner=owner):
            yield event
            if text in self.held:
                await self.held[text].wait()


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is waited for is looked at soon."""
    monkeypatch.setattr(answers, "PAUSES_S", (0.01, 0.01, 0.01))
    monkeypatch.setattr(admission, "MOST_WAIT_S", 0.2)
    monkeypatch.setattr(attempt, "LOOK_EVERY_S", 0.05)


async def run(stand: ShardStand, given: dict[str, Any]) -> Outcome:
    """Have the order carried out."""
    return Outcome.read(await stand.worker.run(given))


async def test_every_line_is_answered_and_billed_at_the_batchs_price(tmp_path: Path) -> None:
    requests = [*chats(150), completion("told"), embedding(["a", "bc"])]
    async with shard_stand(tmp_path, ScriptedEngine("lo", " you")) as stand:
        outcome = await run(stand, await stand.give(requests))
        found = await stand.results()
        usage = await stand.agreed()
        records = await stand.ledger.records()
        log = await stand.log()
        assert await stand.mark() == outcome == Outcome(152, 0, usage)
    assert set(found) == {number_of(place) for place in range(152)}
    assert statuses(found) == {200: 152}
    first = found[number_of(0)]
    answer = orjson.loads(first.body)
    assert answer["choices"][0]["message"]["content"] == "lo you"
    assert first.request_id == request_id_of(f"{BATCH}/5") == "req_" + answer["id"].removeprefix("chatcmpl-")
    assert {record.price_version for record in records} == {"2026-01-01/batch"}
    assert {record.outcome for record in records} == {"completed"}
    assert sum(record.requests for record in records) == 152
    assert len(records) < 10
    assert (type(log[0]), type(log[-1])) == (Attempt, Closed)


async def test_a_finished_shard_is_finished(tmp_path: Path) -> None:
    engine = PickyEngine("a")
    async with shard_stand(tmp_path, engine) as stand:
        given = await stand.give(chats(3))
        outcome = await run(stand, given)
        log = await stand.log()
        assert await run(stand, given) == outcome
        await stand.objects.delete([shard_done(BATCH, 0)])  # whoever closed the log died before its mark
        assert await run(stand, given) == outcome == await stand.mark()
        await stand.objects.put(shard_done(BATCH, 0), b"what is this")
        assert await run(stand, given) == outcome == await stand.mark()
        assert await stand.log() == log
    assert len(engine.asked) == 3


async def test_lines_are_their_owners_in_the_engine_apart_from_requests(tmp_path: Path) -> None:
    engine = PickyEngine("a")
    async with shard_stand(tmp_path, engine) as stand:
        await run(stand, await stand.give(chats(2)))
    assert {begun.owner for begun in engine.begun} == {"acme/batch"}


async def test_what_is_refused_is_told_as_over_http_and_costs_nothing(tmp_path: Path) -> None:
    requests = [
        chat(temperature=9),
        chat("well"),
        chat(stream=True),
        {**chat(), "model": "another"},
        chat("x" * 2_000),
        chat(max_tokens=5_000),
        embedding(dimensions=7),
    ]
    async with shard_stand(tmp_path, ScriptedEngine("!")) as stand:
        outcome = await run(stand, await stand.give(requests))
        found = await stand.results()
        await stand.agreed()
    told = [(found[number_of(at)].status, orjson.loads(found[number_of(at)].body)) for at in range(len(requests))]
    assert [status for status, _ in told] == [400, 200, 400, 404, 400, 400, 400]
    assert [told[at][1]["error"]["code"] for at in (3, 4)] == ["model_not_found", "context_length_exceeded"]
    assert [told[at][1]["error"]["param"] for at in (0, 2, 6)] == ["temperature", "stream", "dimensions"]
    assert (outcome.completed, outcome.failed) == (1, 6)


async def test_a_shard_of_refused_lines_alone_reserves_nothing(tmp_path: Path) -> None:
    async with shard_stand(tmp_path, ScriptedEngine("!")) as stand:
        outcome = await run(stand, await stand.give(chats(100, temperature=9)))
        assert await stand.ledger.records() == []
        assert not [entry for entry in await stand.log() if isinstance(entry, Begun)]
    assert (outcome.completed, outcome.failed) == (0, 100)


async def test_a_line_that_fails_is_tried_again_and_costs_nothing_where_it_fails_for_good(tmp_path: Path) -> None:
    engine = PickyEngine("a", "b")
    engine.failing = {"number 1": 2, "number 2": 100}
    async with shard_stand(tmp_path, engine) as stand:
        outcome = await run(stand, await stand.give(chats(4)))
        found = await stand.results()
        usage = await stand.agreed()
    assert (outcome.completed, outcome.failed) == (3, 1)
    assert usage.completion_tokens == 9
    assert orjson.loads(found[number_of(2)].body)["error"]["code"] == "engine_error"
    assert engine.asked.count("number 2") == 4


async def test_a_line_that_breaks_the_engine_is_found_out_and_fails_alone(tmp_path: Path) -> None:
    for _ in range(5):
        engine = PickyEngine("a")
        engine.fatal = {"number 7"}
        async with shard_stand(tmp_path, engine) as stand:
            with pytest.raises(Unavailable) as broken:
                await run(stand, await stand.give(chats(60)))
        assert broken.value.code == "gpu_stopping"
    async with shard_stand(tmp_path, PickyEngine("a")) as stand:
        outcome = await run(stand, order())
        found = await stand.results()
        await stand.agreed()
    assert (outcome.completed, outcome.failed) == (59, 1)
    failed = found[number_of(7)]
    assert failed.status == 500
    assert orjson.loads(failed.body)["error"]["code"] == "line_failed"
    assert "died 5 times" in orjson.loads(failed.body)["error"]["message"]


async def test_two_workers_on_one_shard_answer_each_line_once(tmp_path: Path) -> None:
    gate = asyncio.Event()
    slow, quick = PickyEngine("a", "b"), PickyEngine("a", "b")
    slow.held = {f"number {number}": gate for number in range(20, 100)}
    async with shard_stand(tmp_path, slow) as first, shard_stand(tmp_path, quick) as second:
        given = await first.give(chats(100))
        losing = asyncio.create_task(run(first, given))
        await until("it is at it", lambda: len(slow.asked) > 40)
        outcome = await run(second, given)
        gate.set()
        with pytest.raises(Conflict) as lost:
            await losing
        await first.agreed()
        found = await first.results()
        reserved = await first.ledger.audit(now_ms())
    assert lost.value.code == "shard_taken"
    assert outcome.completed == 100
    assert statuses(found) == {200: 100}
    assert reserved.leases == 0


async def test_an_order_that_is_given_twice_to_a_worker_is_carried_out_once(tmp_path: Path) -> None:
    engine = PickyEngine("a", "b")
    async with shard_stand(tmp_path, engine) as stand:
        given = await stand.give(chats(90))
        first, second = await asyncio.gather(run(stand, given), run(stand, given))
        await stand.agreed()
    assert first == second
    assert len(engine.asked) == 90


async def test_workers_that_begin_at_the_same_moment_do_not_both_have_it(tmp_path: Path) -> None:
    async with (
        shard_stand(tmp_path, ScriptedEngine("a")) as first,
        shard_stand(tmp_path, ScriptedEngine("a")) as second,
    ):
        given = await first.give(chats(90))
        ended = await asyncio.gather(run(first, given), run(second, given), return_exceptions=True)
        await first.agreed()
        found = await first.results()
        mark = await first.mark()
    assert statuses(found) == {200: 90}
    assert mark.completed == 90
    assert all(isinstance(one, Outcome | Conflict) for one in ended)
    assert any(isinstance(one, Outcome) for one in ended)


async def test_a_stop_ends_what_runs_and_keeps_what_is_done(tmp_path: Path) -> None:
    engine = PickyEngine("a", "b")
    engine.held = {f"number {number}": asyncio.Event() for number in range(10, 300)}
    async with shard_stand(tmp_path, engine) as stand:
        running = asyncio.create_task(run(stand, await stand.give(chats(300))))
        await until("ten are answered", lambda: len(engine.asked) > 60 and engine.active == len(engine.asked) - 10)
        await stand.stop()
        outcome = await running
        await stand.agreed()
        assert await stand.mark() == outcome
        assert unended(await stand.log()) == []
        assert (await stand.ledger.audit(now_ms())).leases == 0
    assert engine.active == 0
    assert (outcome.completed, outcome.failed) == (10, 0)
    assert len(engine.asked) <= 10 + 128  # those that were answered, and one for each place


async def test_an_expired_order_begins_nothing(tmp_path: Path) -> None:
    engine = PickyEngine("a")
    async with shard_stand(tmp_path, engine) as stand:
        outcome = await run(stand, await stand.give(chats(3), expires_at=now_ms() - 1))
        assert await stand.mark() == outcome
    assert (outcome.completed, outcome.failed, engine.asked) == (0, 0, [])


async def test_what_runs_when_its_time_is_over_ends(tmp_path: Path) -> None:
    engine = PickyEngine("a")
    engine.held = {"number 1": asyncio.Event()}
    async with shard_stand(tmp_path, engine) as stand:
        outcome = await run(stand, await stand.give(chats(3), expires_at=now_ms() + 1_500))
        await stand.agreed()
    assert outcome.completed == 2


@pytest.mark.parametrize("how", ["cancelled", "closed"])
async def test_a_worker_that_leaves_keeps_what_is_done_and_another_goes_on(tmp_path: Path, how: str) -> None:
    engine = PickyEngine("a", "b")
    engine.held = {f"number {number}": asyncio.Event() for number in range(10, 60)}
    async with shard_stand(tmp_path, engine) as stand:
        running = asyncio.create_task(run(stand, await stand.give(chats(60))))
        await until("ten are answered", lambda: len(engine.asked) == 60 and engine.active == 50)
        if how == "cancelled":
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
        else:
            await stand.worker.close()
            assert (await running).completed == 10
            assert await stand.objects.size(shard_done(BATCH, 0)) is None
            with pytest.raises(Unavailable, match="stopping"):
                await run(stand, order())
        assert engine.active == 0
        assert len(await stand.results()) == 10
        assert (await stand.ledger.audit(now_ms())).leases == 0
    fresh = PickyEngine("a", "b")
    async with shard_stand(tmp_path, fresh) as stand:
        outcome = await run(stand, order())
        await stand.agreed()
    assert outcome.completed == 60
    assert sorted(fresh.asked) == sorted(f"number {number}" for number in range(10, 60))


async def test_a_lines_worth_of_room_is_left_to_requests(tmp_path: Path) -> None:
    """Half of each limit is left to whoever waits for an answer; then the batch goes on."""
    engine, gate = PickyEngine("a"), asyncio.Event()
    engine.held = {f"number {number}": gate for number in range(20)}
    async with shard_stand(tmp_path, engine, limits=Limits(concurrent_requests=10)) as stand:
        running = asyncio.create_task(run(stand, await stand.give(chats(20))))
        await until("five run", lambda: engine.active == 5)
        await asyncio.sleep(0.3)
        caller = await stand.ledger.caller("key_1")
        assert caller is not None
        (standing,) = (await stand.ledger.standings(caller, now_ms())).values()
        assert (standing.reserved, engine.most) == (5, 5)
        gate.set()
        outcome = await running
        await stand.agreed()
        records = await stand.ledger.records()
    assert outcome.completed == 20
    assert [record.requests for record in records] == [1] * 20


async def test_a_limit_of_the_minute_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = now_ms()

    def quick() -> int:
        return started + 60 * (now_ms() - started)  # a minute is a second

    for module in (admission, attempt, answers):
        monkeypatch.setattr(module, "now_ms", quick)
    limits = Limits(requests_per_minute=20)
    async with shard_stand(tmp_path, ScriptedEngine("a"), limits=limits) as stand:
        outcome = await run(stand, await stand.give(chats(35), expires_at=started + 86_400_000))
        await stand.agreed()
        minutes = {record.reserved_at // 60_000: 0 for record in await stand.ledger.records()}
        for record in await stand.ledger.records():
            minutes[record.reserved_at // 60_000] += record.requests
    assert outcome.completed == 35
    assert max(minutes.values()) <= 10


async def test_lines_beyond_the_budget_fail_and_those_within_do_not(tmp_path: Path) -> None:
    async with shard_stand(tmp_path, ScriptedEngine("a"), limits=Limits(monthly_tokens=1_000)) as stand:
        outcome = await run(stand, await stand.give(chats(100, max_tokens=10)))
        found = await stand.results()
        usage = await stand.agreed()
    assert outcome.completed > 50
    assert outcome.completed + outcome.failed == 100
    assert set(statuses(found)) == {200, 402}
    assert usage.total_tokens <= 1_000
    refused = next(orjson.loads(each.body)["error"] for each in found.values() if each.status == 402)
    assert (refused["code"], refused["limit"]["name"]) == ("budget_exceeded", "monthly_tokens")


async def test_a_line_that_can_never_fit_a_limit_fails_alone(tmp_path: Path) -> None:
    async with shard_stand(tmp_path, ScriptedEngine("a"), limits=Limits(tokens_per_minute=500)) as stand:
        outcome = await run(stand, await stand.give([chat("a", max_tokens=10), chat("b"), chat("c", max_tokens=10)]))
        found = await stand.results()
        await stand.agreed()
    assert (outcome.completed, outcome.failed) == (2, 1)
    assert found[number_of(1)].status == 429


async def test_a_key_that_is_revoked_meanwhile_is_told_to_the_lines_that_are_left(tmp_path: Path) -> None:
    engine, gate = PickyEngine("a"), asyncio.Event()
    engine.held = {f"number {number}": gate for number in range(300)}
    async with shard_stand(tmp_path, engine) as stand:
        running = asyncio.create_task(run(stand, await stand.give(chats(300))))
        await until("some run", lambda: engine.active >= 100)
        begun = len(engine.asked)
        await stand.ledger.revoke_key("key_1", now_ms())
        gate.set()
        outcome = await running
        found = await stand.results()
        await stand.agreed()
    assert set(statuses(found)) == {200, 401}
    assert begun <= outcome.completed < 300
    assert outcome.failed == 300 - outcome.completed


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"key_id": "key_9"}, 401, "invalid_api_key"),
        ({"account_id": "another"}, 401, "invalid_api_key"),
    ],
)
async def test_an_order_on_nobodys_account_answers_nothing(
    tmp_path: Path, changes: dict[str, Any], status: int, code: str
) -> None:
    async with shard_stand(tmp_path, ScriptedEngine("a")) as stand:
        outcome = await run(stand, await stand.give(chats(3), **changes))
        found = await stand.results()
        assert await stand.ledger.records() == []
    assert (outcome.completed, outcome.failed) == (0, 3)
    assert {(each.status, orjson.loads(each.body)["error"]["code"]) for each in found.values()} == {(status, code)}


async def test_while_the_service_is_off_the_shard_waits_for_another_attempt(tmp_path: Path) -> None:
    async with shard_stand(tmp_path, ScriptedEngine("a")) as stand:
        given = await stand.give(chats(3))
        await stand.ledger.set_switch(Switch(on=False, reason="moving"))
        assert (await run(stand, given)).completed == 0
        assert await stand.objects.size(shard_done(BATCH, 0)) is None
        await stand.ledger.set_switch(Switch())
        assert (await run(stand, given)).completed == 3


async def test_a_closed_shard_is_left_alone_and_whoever_is_at_it_can_book_nothing(tmp_path: Path) -> None:
    engine, gate = PickyEngine("a"), asyncio.Event()
    engine.held = {f"number {number}": gate for number in range(5)}
    async with shard_stand(tmp_path, engine) as stand:
        given = await stand.give(chats(5))
        running = asyncio.create_task(run(stand, given))
        await until("it runs", lambda: engine.active == 5)
        await close(stand.objects, BATCH, 0)
        gate.set()
        with pytest.raises(Conflict):
            await running
        assert (await run(stand, given)).completed == 0
        assert await stand.ledger.records() == []
        assert (await stand.ledger.audit(now_ms())).leases == 0


async def test_whoever_comes_back_after_the_batch_is_over_books_nothing(tmp_path: Path) -> None:
    engine, gate = PickyEngine("a"), asyncio.Event()
    engine.held = {"number 0": gate}
    async with shard_stand(tmp_path, engine) as stand:
        given = await stand.give(chats(1))
        running = asyncio.create_task(run(stand, given))
        await until("it runs", lambda: engine.active == 1)
        await stand.objects.delete([each.key async for each in stand.objects.list(work(BATCH))])
        gate.set()
        with pytest.raises(Conflict):
            await running
        assert await stand.ledger.records() == []
        with pytest.raises(NotFound):
            await run(stand, given)


@pytest.mark.parametrize(
    "given", [{}, {"lines": []}, [], None, order(shard="0"), order(model="another"), {"batch_id": object()}]
)
async def test_what_is_no_order_is_refused_in_one_line(tmp_path: Path, given: Any) -> None:
    async with shard_stand(tmp_path, ScriptedEngine("a")) as stand:
        with pytest.raises(ApiError) as refused:
            await stand.worker.run(given)
    assert refused.value.status == 400
    assert "\n" not in refused.value.message


async def test_several_shards_at_once_share_the_process(tmp_path: Path) -> None:
    engine = PickyEngine("a", "b")
    async with shard_stand(tmp_path, engine, max_running=8, max_waiting=16, step_tokens=64) as stand:
        given = [await stand.give(chats(40), shard=shard) for shard in range(3)]
        outcomes = await asyncio.gather(*(run(stand, each) for each in given))
        await stand.agreed(0, 1, 2)
    assert [outcome.completed for outcome in outcomes] == [40, 40, 40]
    assert engine.most <= 12


async def test_lines_with_long_answers_go_in_smaller_slices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "MOST_ANSWERS", 3_500)  # those to two texts are expected to have some 1,100
    async with shard_stand(tmp_path, ScriptedEngine()) as stand:
        outcome = await run(stand, await stand.give([*[embedding(["a", "b"])] * 9, embedding(["a"] * 50)]))
        log = await stand.log()
        await stand.agreed()
    assert outcome.completed == 10
    assert [len(entry.lines) for entry in log if isinstance(entry, Begun)] == [3, 3, 3, 1]


async def test_slices_follow_one_another_without_a_pause(tmp_path: Path) -> None:
    """A slice waits for no other one to end: with one line of each held, all other lines are answered."""
    engine, gate = PickyEngine("a"), asyncio.Event()
    engine.held = {f"number {number}": gate for number in range(0, 200, 42)}
    async with shard_stand(tmp_path, engine) as stand:
        running = asyncio.create_task(run(stand, await stand.give(chats(200))))
        await until("all are begun", lambda: len(engine.asked) == 200)
        assert not [entry for entry in await stand.log() if isinstance(entry, Ended)]
        gate.set()
        assert (await running).completed == 200


async def test_a_large_shard_goes_in_few_slices_whose_lines_wait_for_places(tmp_path: Path) -> None:
    """A slice has more lines than places; no line is answered beyond these, and only one slice's wait for one."""
    engine, gate = PickyEngine("a"), asyncio.Event()
    engine.held = {f"number {number}": gate for number in range(2_000)}
    async with shard_stand(tmp_path, engine) as stand:
        running = asyncio.create_task(run(stand, await stand.give(chats(1_100))))
        await until("all places are taken", lambda: engine.active == 128)
        assert [len(entry.lines) for entry in await stand.log() if isinstance(entry, Begun)] == [256]
        gate.set()
        outcome = await running
        await stand.agreed()
        log = await stand.log()
        records = await stand.ledger.records()
    assert (outcome.completed, engine.most) == (1_100, 128)
    assert [len(entry.lines) for entry in log if isinstance(entry, Begun)] == [256, 256, 256, 256, 76]
    assert sorted(record.requests for record in records) == [76, 256, 256, 256, 256]


async def test_a_slices_last_lines_do_not_keep_the_next_one_waiting(tmp_path: Path) -> None:
    engine, gate = PickyEngine("a"), asyncio.Event()
    engine.held = {"number 255": gate}
    async with shard_stand(tmp_path, engine) as stand:
        running = asyncio.create_task(run(stand, await stand.give(chats(1_024))))
        await until("all others are answered", lambda: len(engine.asked) == 1_024 and engine.active == 1)
        gate.set()
        assert (await running).completed == 1_024


async def test_a_stop_amid_a_large_slice_keeps_what_is_answered_and_asks_nothing_more(tmp_path: Path) -> None:
    engine = PickyEngine("a")
    engine.held = {f"number {number}": asyncio.Event() for number in range(40, 1_024)}
    async with shard_stand(tmp_path, engine) as stand:
        running = asyncio.create_task(run(stand, await stand.give(chats(1_024))))
        await until("forty are answered", lambda: engine.active == 128 and len(engine.asked) == 168)
        await stand.stop()
        outcome = await running
        await stand.agreed()
        assert (await stand.ledger.audit(now_ms())).leases == 0
    assert (outcome.completed, outcome.failed) == (40, 0)
    assert (engine.active, len(engine.asked)) == (0, 168)


async def test_a_death_amid_large_slices_loses_their_lines_and_bills_none_of_them(tmp_path: Path) -> None:
    engine = PickyEngine("a")
    engine.fatal = {"number 300"}
    async with shard_stand(tmp_path, engine) as stand:
        with pytest.raises(Unavailable):
            await run(stand, await stand.give(chats(1_024)))
        await stand.agreed()
        done = len(await stand.results())
    assert done in (0, 256)
    fresh = PickyEngine("a")
    async with shard_stand(tmp_path, fresh) as stand:
        assert (await run(stand, order())).completed == 1_024
        await stand.agreed()
    assert len(fresh.asked) == 1_024 - done


@pytest.mark.parametrize("seed", range(3))
async def test_stores_that_fail_lose_no_line_and_bill_none_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """One call in five fails, half of these after it took effect; whatever ends an attempt, another goes on."""
    monkeypatch.setattr(shard_log, "PAUSES_S", ())
    monkeypatch.setattr(giving_back, "PAUSES_S", (0.0, 0.0))
    monkeypatch.setattr(admission, "LEDGER_AWAY_S", 0.01)
    ended: list[Outcome] = []
    for attempt_seed in range(100 * seed, 100 * seed + 50):
        ledger = flaky_ledger(await open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}"), 0.2, attempt_seed)
        objects = flaky_objects(await open_objects(f"file://{tmp_path / 'objects'}"), 0.2, attempt_seed)
        async with shard_stand(tmp_path, ScriptedEngine("a", "b"), ledger=ledger, objects=objects) as stand:
            given = await stand.give(chats(400))
            with suppress(Unavailable):
                ended.append(await run(stand, given))
                break
    async with shard_stand(tmp_path, ScriptedEngine("a")) as stand:
        assert [await run(stand, order())] == ended  # the mark, which nobody changes any more
        await _settle_all(stand)  # as who joins the results does
        await stand.agreed()
        assert statuses(await stand.results()) == {200: 400}


async def _settle_all(stand: ShardStand) -> None:
    for entry in await stand.log():
        if isinstance(entry, Ended) and entry.lease is not None:
            await stand.ledger.settle(entry.lease, entry.usage, "completed", now_ms())
