"""The process that advances a batch dies between any two of its calls: the next one comes to the same."""

from dataclasses import replace

import pytest

from functions.batch import held, running
from penstock.batches.records import ShardState, Status
from tests.integration.batch.mortal import Died, Life, mortal_plant
from tests.integration.batch.scripted_workers import USED
from tests.integration.batch.stand import Stand

pytestmark = pytest.mark.anyio

LINES = 3  # in two shards


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hold is the next one's at once, and so is what was sent and not started."""
    monkeypatch.setattr(held, "HOLD_S", 0)
    monkeypatch.setattr(running, "SENT_FOR", -1)


async def work_off(stand: Stand, life: Life, *, cancel: bool) -> str:
    """A batch from its making to its end, by a process with that life and those that follow it."""
    batch_id = await stand.submit(LINES)
    stand.workers.mode = "half"
    try:
        plant = mortal_plant(stand, life)
        await plant.batches.advance(batch_id)
        stand.workers.mode = "done"
        await due(stand, batch_id)
        if cancel:
            await stand.cancel(batch_id)
        while not await plant.batches.advance(batch_id):
            await due(stand, batch_id)
    except Died:
        if cancel and not (await stand.batch(batch_id)).status.final:
            await stand.cancel(batch_id)
        stand.workers.mode = "done"
        for _ in range(10):
            await due(stand, batch_id)
            if await stand.advance(batch_id):
                break
    return batch_id


async def due(stand: Stand, batch_id: str) -> None:
    """Let the pauses of waiting shards be over."""
    for shard in await stand.shards(batch_id):
        if shard.state is ShardState.WAITING and shard.since:
            assert await stand.plant.book.change_shard(replace(shard, since=0))


@pytest.mark.parametrize("cancel", [False, True], ids=["completed", "cancelled"])
async def test_whoever_dies_wherever_the_batch_ends_the_same(stand: Stand, cancel: bool) -> None:
    unharmed = Life()
    await work_off(stand, unharmed, cancel=cancel)
    billed, deaths = await stand.used(), set()
    for ends_at in range(1, unharmed.calls + 1):
        life = Life(ends_at)
        batch_id = await work_off(stand, life, cancel=cancel)
        deaths.add(life.last)
        batch = await stand.batch(batch_id)
        where = f"{life.last}, call {ends_at}"
        assert batch.closed, where
        assert batch.status is (Status.CANCELLED if cancel else Status.COMPLETED), where
        output = await stand.lines(batch.output_address)
        errors = await stand.lines(batch.error_address)
        told = sorted(line["custom_id"] for line in output + errors)
        # Where it was cancelled before it was looked at, it has no lines.
        assert told == ([f"line-{number}" for number in range(1, LINES + 1)] if batch.lines else []), where
        assert (batch.completed, batch.failed) == (len(output), 0), where
        assert (batch.output_file_id is None, batch.error_file_id is None) == (not output, not errors), where
        assert await stand.left(batch_id) == [], where
        now = await stand.used()
        assert now == (billed[0] + len(output), billed[1] + len(output) * USED.total_tokens), where
        billed = now
    await stand.billed()
    assert {"change_batch", "change_shard", "put", "add_shards", "start", "add_file", "delete", "writer"} <= deaths
