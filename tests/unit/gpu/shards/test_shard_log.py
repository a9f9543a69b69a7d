"""A shard's log under several workers and a store that fails: one of them has it, and what it wrote stays."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.gpu.shards import shard_log
from functions.gpu.shards.shard_log import Fenced, ShardLog
from penstock.batches import log
from penstock.batches.log import Attempt, Begun, Closed, Entry
from penstock.objects import ObjectsUnavailable
from tests.unit.gpu.shards.entries import begun, ended
from tests.unit.gpu.shards.memory import Memory

pytestmark = pytest.mark.anyio


def opened(memory: Memory) -> ShardLog:
    return ShardLog(memory.as_objects(), "batch_1", 0)


async def entries(memory: Memory) -> list[Entry]:
    return [entry async for entry in log.entries(memory.as_objects(), "batch_1", 0)]


async def test_whoever_takes_it_up_last_has_it() -> None:
    memory = Memory()
    first, second = opened(memory), opened(memory)
    await first.take_up("one")
    await first.add(begun(0, 1, 2))
    await second.take_up("two")
    with pytest.raises(Fenced):
        await first.add(ended(0, 1, 2))
    assert second.history.attempts == 2
    assert second.history.deaths == {1: 1, 2: 1}
    await second.add(begun(1, 1))
    assert await entries(memory) == [Attempt(1, "one"), begun(0, 1, 2), Attempt(2, "two"), begun(1, 1)]


async def test_what_was_written_between_reading_and_taking_it_up_is_read() -> None:
    memory = Memory()
    first, second = opened(memory), opened(memory)
    await first.take_up("one")
    await first.add(begun(0, 1, 2))
    await asyncio.gather(first.add(ended(0, 1, 2)), second.take_up("two"))
    assert second.history.done == {1, 2}
    assert second.history.deaths == {}


async def test_entries_that_are_added_at_once_all_stand() -> None:
    memory = Memory()
    one = opened(memory)
    await one.take_up("one")
    await asyncio.gather(*(one.add(begun(number, number)) for number in range(20)))
    assert len(await entries(memory)) == 21
    assert one.history.next_slice == 20


async def test_a_closed_log_is_not_taken_up() -> None:
    memory = Memory()
    first, second = opened(memory), opened(memory)
    await first.take_up("one")
    await log.close(memory.as_objects(), "batch_1", 0)
    await second.take_up("two")
    assert second.history.closed
    assert await entries(memory) == [Attempt(1, "one"), Closed()]
    with pytest.raises(Fenced):
        await first.add(begun(0, 1))


async def test_a_log_that_is_gone_is_not_whole() -> None:
    memory = Memory()
    one = opened(memory)
    await one.take_up("one")
    assert await one.intact()
    memory.content.clear()
    await one.add(begun(0, 1))
    assert not await one.intact()


async def test_a_lost_answer_is_no_other_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_log, "PAUSES_S", (0.0,))
    fates = iter(["after", "well", "before", "well", "after", "after"])
    memory = Memory(lambda: next(fates))
    one = opened(memory)
    await one.take_up("one")
    await one.add(begun(0, 1))
    with pytest.raises(ObjectsUnavailable):
        await one.add(ended(0, 1))
    assert await entries(memory) == [Attempt(1, "one"), begun(0, 1), ended(0, 1)]


class Writer:
    """A worker that takes the log up at some time, and adds slices until it is told that the shard is not its own."""

    def __init__(self, name: str, memory: Memory, slices: int) -> None:
        self.name = name
        self.acknowledged: list[Entry] = []
        self._log = opened(memory)
        self._slices = slices

    async def work(self, after: int) -> None:
        for _ in range(after):
            await asyncio.sleep(0)
        try:
            await self._log.take_up(self.name)
            for _ in range(self._slices):
                number = self._log.history.next_slice
                for entry in (begun(number, number), ended(number, number)):
                    await self._log.add(entry)
                    self.acknowledged.append(entry)
                    await asyncio.sleep(0)
        except (Fenced, ObjectsUnavailable):
            pass


@given(
    starts=st.lists(st.integers(0, 30), min_size=2, max_size=5),
    fates=st.lists(st.sampled_from(["well", "well", "well", "before", "after"]), max_size=60),
)
def test_the_log_has_whatever_was_acknowledged_and_each_worker_ends_where_the_next_begins(
    starts: Sequence[int], fates: Sequence[str]
) -> None:
    coming = iter(fates)
    memory = Memory(lambda: next(coming, "well"))
    writers = [Writer(f"w{place}", memory, slices=4) for place in range(len(starts))]

    async def all_of_them() -> list[Entry]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(shard_log, "PAUSES_S", (0.0, 0.0))
            await asyncio.gather(*(writer.work(start) for writer, start in zip(writers, starts, strict=True)))
        return await entries(memory)

    found = asyncio.run(all_of_them())
    of: dict[str, list[Entry]] = {}
    holder = ""
    for entry in found:
        if isinstance(entry, Attempt):
            assert entry.worker not in of
            holder = entry.worker
            of[holder] = []
        else:
            of[holder].append(entry)
    assert sorted(memory.content) == [f"work/batch_1/logs/000000/{number:06}.json" for number in range(len(found))]
    for writer in writers:
        written = of.get(writer.name, [])
        assert written[: len(writer.acknowledged)] == writer.acknowledged
        assert len(written) <= len(writer.acknowledged) + 1  # the last one's answer may have been lost
    slices = [entry.slice for entry in found if isinstance(entry, Begun)]
    assert len(set(slices)) == len(slices)
