"""Batches from their making to their end: on good days, with dead workers, cancelled, too old, refused."""

import asyncio
from dataclasses import replace

import pytest

from functions.batch import fairness, running
from functions.batch.changes import change_batch
from penstock.batches import addresses
from penstock.batches.records import Hold, Purpose, ShardState, Status
from penstock.clock import MINUTE, now_ms
from penstock.ledger import Usage
from tests.integration.batch.scripted_workers import USED
from tests.integration.batch.stand import DAY, Stand, input_of

pytestmark = pytest.mark.anyio


def ids(lines: list[dict[str, object]]) -> list[object]:
    return [line["custom_id"] for line in lines]


def numbered(*numbers: int) -> list[str]:
    return [f"line-{number}" for number in numbers]


async def test_a_batch_goes_from_its_input_to_its_output(stand: Stand) -> None:
    batch_id = await stand.submit(7)
    batch = await stand.finish(batch_id)
    assert (batch.status, batch.lines, batch.completed, batch.failed, batch.shards) == (Status.COMPLETED, 7, 7, 0, 4)
    assert batch.usage == Usage(7 * USED.prompt_tokens, 0, 7 * USED.completion_tokens)
    assert batch.model == "demo"
    assert batch.created_at <= (batch.in_progress_at or 0) <= (batch.finalizing_at or 0) <= (batch.ended_at or 0)
    assert ids(await stand.lines(batch.output_address)) == numbered(*range(1, 8))
    assert await stand.billed() == (7, 7 * USED.total_tokens)
    file = await stand.plant.book.file("acme", batch.output_file_id or "")
    assert file is not None
    assert (file.purpose, file.address) == (Purpose.BATCH_OUTPUT, batch.output_address)
    assert file.size == await stand.plant.objects.size(batch.output_address)
    assert file.expires_at == file.created_at + 30 * DAY
    assert batch.output_file_id == f"file-out-{batch_id}"
    assert batch.error_file_id is None
    assert await stand.left(batch_id) == []
    assert await stand.shards(batch_id) == []
    assert batch.closed
    assert await stand.plant.book.open_batches() == []


async def test_an_input_that_is_wrong_fails_the_batch(stand: Stand) -> None:
    batch_id = await stand.submit(content=input_of(2) + b"no json\n")
    batch = await stand.finish(batch_id)
    assert (batch.status, batch.output_file_id) == (Status.FAILED, None)
    assert [error.line for error in batch.errors] == [3]
    assert await stand.left(batch_id) == []
    assert stand.workers.orders == {}
    assert batch.ended_at is not None


async def test_nothing_happens_to_a_batch_that_is_closed_or_unknown(stand: Stand) -> None:
    batch_id = await stand.submit(2)
    closed = await stand.finish(batch_id)
    assert await stand.advance(batch_id)
    assert await stand.batch(batch_id) == closed
    assert await stand.advance("batch_unknown")


async def test_a_shard_whose_worker_died_is_started_again_and_no_line_is_lost_or_repeated(stand: Stand) -> None:
    stand.workers.mode = "half"
    batch_id = await stand.submit(8)
    await stand.advance(batch_id)
    await stand.advance(batch_id)
    batch = await stand.batch(batch_id)
    assert (batch.status, batch.completed) == (Status.IN_PROGRESS, 4)  # counts grow while it runs
    assert {shard.stalled for shard in await stand.shards(batch_id)} == {0}
    stand.workers.mode = "done"
    await at_once(stand, batch_id)
    batch = await stand.finish(batch_id)
    assert ids(await stand.lines(batch.output_address)) == numbered(*range(1, 9))
    assert await stand.billed() == (8, 8 * USED.total_tokens)


async def at_once(stand: Stand, batch_id: str) -> None:
    """Let the pauses of waiting shards be over."""
    for shard in await stand.shards(batch_id):
        if shard.state is ShardState.WAITING:
            assert shard.since > now_ms() - MINUTE
            assert await stand.plant.book.change_shard(replace(shard, since=0))


async def test_a_shard_of_which_nothing_comes_is_given_up_after_some_attempts(stand: Stand) -> None:
    batch_id = await stand.submit(3)
    stand.workers.mode = "dead"
    for _ in range(2 * stand.plant.settings.shard_attempts):
        await stand.advance(batch_id)
        await at_once(stand, batch_id)
    batch = await stand.finish(batch_id)
    assert len(stand.workers.orders) == 2 * stand.plant.settings.shard_attempts
    assert (batch.status, batch.completed, batch.failed) == (Status.COMPLETED, 0, 3)
    errors = await stand.lines(batch.error_address)
    assert ids(errors) == numbered(1, 2, 3)
    assert {error["error"]["code"] for error in errors} == {"line_failed"}
    assert (batch.output_file_id, batch.error_file_id) == (None, f"file-err-{batch_id}")
    assert await stand.billed() == (0, 0)


async def test_a_worker_that_returns_without_an_end_is_asked_again_however_often(stand: Stand) -> None:
    batch_id = await stand.submit(2)
    stand.workers.mode = "quits"
    for _ in range(4 * stand.plant.settings.shard_attempts):
        await stand.advance(batch_id)
        await at_once(stand, batch_id)
    stand.workers.mode = "done"
    assert (await stand.finish(batch_id)).completed == 2


async def test_progress_forgives_earlier_attempts(stand: Stand) -> None:
    batch_id = await stand.submit(2)
    stand.workers.mode = "dead"
    for _ in range(3):
        await stand.advance(batch_id)
        await stand.advance(batch_id, fill=False)
        await at_once(stand, batch_id)
    (shard,) = await stand.shards(batch_id)
    assert shard.stalled == 3
    stand.workers.mode = "half"
    await stand.advance(batch_id)
    await stand.advance(batch_id, fill=False)
    (shard,) = await stand.shards(batch_id)
    assert (shard.stalled, shard.completed) == (0, 1)


async def test_a_failed_shard_waits_longer_each_time(stand: Stand) -> None:
    batch_id = await stand.submit(2)
    stand.workers.mode = "dead"
    pauses = []
    for _ in range(3):
        await stand.advance(batch_id)
        await stand.advance(batch_id)
        (shard,) = await stand.shards(batch_id)
        pauses.append(round((shard.since - now_ms()) / 1_000))
        await at_once(stand, batch_id)
    assert pauses[0] < pauses[1] < pauses[2]


async def test_a_message_that_was_lost_is_sent_again(stand: Stand) -> None:
    batch_id = await stand.submit(2)
    await stand.advance(batch_id, fill=False)
    (shard,) = await stand.shards(batch_id)
    sent = replace(shard, state=ShardState.SENT, since=now_ms() - running.SENT_FOR - 1)
    assert await stand.plant.book.change_shard(sent)
    assert (await stand.finish(batch_id)).completed == 2


async def test_a_message_that_is_on_its_way_is_waited_for(stand: Stand) -> None:
    batch_id = await stand.submit(2)
    await stand.advance(batch_id, fill=False)
    (shard,) = await stand.shards(batch_id)
    assert await stand.plant.book.change_shard(replace(shard, state=ShardState.SENT, since=now_ms()))
    assert not await stand.advance(batch_id)
    assert await stand.states(batch_id) == [ShardState.SENT]


async def test_workers_that_cannot_be_reached_are_tried_again_and_no_attempt_is_counted(stand: Stand) -> None:
    batch_id = await stand.submit(2)
    stand.workers.mode = "away"
    for _ in range(2 * stand.plant.settings.shard_attempts):
        await stand.advance(batch_id)
        await at_once(stand, batch_id)
    stand.workers.mode = "done"
    assert (await stand.finish(batch_id)).completed == 2


async def test_a_call_that_runs_is_left_alone_and_asked_about_only_by_who_polls(stand: Stand) -> None:
    stand.workers.mode = "held"
    batch_id = await stand.submit(2)
    await stand.advance(batch_id, poll=False)
    await stand.advance(batch_id, poll=False)
    assert stand.workers.asked == 0
    await stand.advance(batch_id, poll=True)
    assert stand.workers.asked == 1
    assert await stand.states(batch_id) == [ShardState.RUNNING]
    assert len(stand.workers.orders) == 1
    await stand.workers.go("call-1")
    assert (await stand.finish(batch_id)).completed == 2


async def test_a_mark_without_the_whole_shard_is_no_end(stand: Stand) -> None:
    stand.workers.mode = "held"
    batch_id = await stand.submit(2)
    await stand.advance(batch_id)
    await stand.workers.go("call-1", "half")
    half = b'{"completed": 1, "failed": 0, "usage": {"prompt_tokens": 5, "completion_tokens": 3}}'
    await stand.plant.objects.put(addresses.shard_done(batch_id, 0), half)
    stand.workers.mode = "done"
    await stand.advance(batch_id)
    await at_once(stand, batch_id)
    batch = await stand.finish(batch_id)
    assert (batch.completed, len(stand.workers.orders)) == (2, 2)
    assert await stand.billed() == (2, 2 * USED.total_tokens)


async def test_an_account_that_has_no_place_for_long_gets_one(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    stand.workers.mode = "held"
    large = await stand.submit(12)
    await stand.advance(large)  # it has all four places
    small = await stand.submit(2, account="small")
    await stand.advance(small)
    assert stand.workers.of(small) == []
    monkeypatch.setattr(fairness, "PATIENCE", -1)
    await stand.advance(small)
    assert stand.workers.cancelled == ["call-1"]
    monkeypatch.undo()
    await stand.advance(small)
    assert stand.workers.of(small) == [0]
    for call in ("call-1", "call-2", "call-3", "call-4", "call-5"):
        await stand.workers.go(call)
    stand.workers.mode = "done"
    assert (await stand.finish(small)).completed == 2
    assert (await stand.finish(large)).completed == 12
    assert await stand.billed() == (14, 14 * USED.total_tokens)


# -- stopping -----------------------------------------------------------------------------------------


async def test_a_cancelled_batch_has_what_was_done_and_says_so_of_the_rest(stand: Stand) -> None:
    batch_id = await stand.submit(12)  # six shards, of which four are started
    stand.workers.mode = "held"
    await stand.advance(batch_id)
    await stand.workers.go("call-1")
    await stand.cancel(batch_id)
    assert not await stand.advance(batch_id)
    assert await stand.plant.objects.size(addresses.stop(batch_id)) is not None
    assert sorted(await stand.states(batch_id)) == [ShardState.DONE] * 3 + [ShardState.RUNNING] * 3
    for call in ("call-2", "call-3", "call-4"):
        await stand.workers.go(call)  # it sees that it is to stop
    batch = await stand.finish(batch_id)
    assert (batch.status, batch.completed, batch.failed) == (Status.CANCELLED, 2, 0)
    output, errors = await stand.lines(batch.output_address), await stand.lines(batch.error_address)
    assert (len(output), len(errors)) == (2, 10)
    assert {error["error"]["code"] for error in errors} == {"batch_cancelled"}
    assert sorted(ids(output + errors), key=lambda one: int(str(one).split("-")[1])) == numbered(*range(1, 13))
    assert await stand.billed() == (2, 2 * USED.total_tokens)
    assert len(stand.workers.orders) == 4


async def test_a_worker_that_does_not_stop_is_cancelled_and_closed_upon(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_id = await stand.submit(2)
    stand.workers.mode = "held"
    await stand.advance(batch_id)
    await stand.cancel(batch_id)
    assert not await stand.advance(batch_id)
    assert stand.workers.cancelled == []
    monkeypatch.setattr(running, "STOPS_WITHIN", -1)
    batch = await stand.finish(batch_id)
    assert stand.workers.cancelled[0] == "call-1"
    assert (batch.status, batch.completed) == (Status.CANCELLED, 0)
    await stand.workers.go("call-1")  # a zombie, which finds its shard closed
    assert await stand.billed() == (0, 0)


async def test_a_batch_is_cancelled_before_it_was_looked_at(stand: Stand) -> None:
    batch_id = await stand.submit(2)
    await stand.cancel(batch_id)
    batch = await stand.finish(batch_id)
    assert (batch.status, batch.lines, batch.output_file_id, batch.error_file_id) == (Status.CANCELLED, 0, None, None)


async def test_a_batch_is_cancelled_while_it_is_looked_at(stand: Stand) -> None:
    batch_id = await stand.submit(2)

    def under_way(batch: object) -> object:
        return replace(batch, hold=Hold("another", now_ms() + MINUTE))  # type: ignore[type-var]

    await change_batch(stand.plant.book, batch_id, under_way)  # type: ignore[arg-type]
    assert not await stand.advance(batch_id)
    await stand.cancel(batch_id)
    assert (await stand.finish(batch_id)).status is Status.CANCELLED


async def test_a_batch_whose_time_is_over_has_what_was_done(stand: Stand) -> None:
    batch_id = await stand.submit(4)
    stand.workers.mode = "held"
    await stand.advance(batch_id)
    await stand.workers.go("call-1")
    await change_batch(stand.plant.book, batch_id, lambda batch: replace(batch, expires_at=now_ms() - 1))
    await stand.advance(batch_id)
    await stand.workers.go("call-2")
    batch = await stand.finish(batch_id)
    assert (batch.status, batch.completed, batch.failed) == (Status.EXPIRED, 2, 0)
    errors = await stand.lines(batch.error_address)
    assert {error["error"]["code"] for error in errors} == {"batch_expired"}
    assert len(errors) == 2


async def test_a_batch_that_was_done_in_time_is_completed_however_late_that_is_seen(stand: Stand) -> None:
    batch_id = await stand.submit(2)
    await stand.advance(batch_id)
    await change_batch(stand.plant.book, batch_id, lambda batch: replace(batch, expires_at=now_ms() - 1))
    assert (await stand.finish(batch_id)).status is Status.COMPLETED


async def test_a_batch_that_nobody_looked_at_in_time_is_expired(stand: Stand) -> None:
    batch_id = await stand.submit(2, expires_at=now_ms() - 1)
    assert (await stand.finish(batch_id)).status is Status.EXPIRED
    assert stand.workers.orders == {}


# -- twice and at once --------------------------------------------------------------------------------


async def test_every_event_may_come_twice_and_at_once(stand: Stand) -> None:
    batch_id = await stand.submit(9)
    for _ in range(20):
        await asyncio.gather(*(stand.advance(batch_id) for _ in range(3)))
    batch = await stand.batch(batch_id)
    assert (batch.status, batch.completed, batch.told) == (Status.COMPLETED, 9, True)
    assert ids(await stand.lines(batch.output_address)) == numbered(*range(1, 10))
    assert await stand.billed() == (9, 9 * USED.total_tokens)
    assert sorted(stand.workers.of(batch_id)) == [0, 1, 2, 3, 4]


async def test_a_long_step_is_had_elsewhere_by_who_has_no_time(stand: Stand) -> None:
    batch_id = await stand.submit(2)
    assert not await stand.advance(batch_id, at_length=False)
    assert (await stand.batch(batch_id)).status is Status.VALIDATING
    assert await stand.left(batch_id) == [addresses.poke(batch_id)]


async def test_a_step_that_is_held_is_left_to_its_holder_until_that_is_dead(stand: Stand) -> None:
    batch_id = await stand.submit(2)
    await change_batch(
        stand.plant.book, batch_id, lambda batch: replace(batch, hold=Hold("another", now_ms() + MINUTE))
    )
    assert not await stand.advance(batch_id)
    assert (await stand.batch(batch_id)).status is Status.VALIDATING
    await change_batch(stand.plant.book, batch_id, lambda batch: replace(batch, hold=Hold("another", now_ms() - 1)))
    assert (await stand.finish(batch_id)).status is Status.COMPLETED
