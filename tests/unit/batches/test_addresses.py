"""Where a batch's objects are: which of them are events, and that nothing of one batch is under another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.batches import addresses
from penstock.batches.records import new_batch_id, new_file_id
from tests.contract.samples import NOW

BATCH = new_batch_id(NOW)
shards = st.integers(0, 2_000_000)


@given(shards)
def test_marks_and_pokes_are_events_of_their_batch(shard: int) -> None:
    assert addresses.batch_of_event(addresses.poke(BATCH)) == BATCH
    assert addresses.batch_of_event(addresses.shard_done(BATCH, shard)) == BATCH


@given(shards)
def test_a_mark_tells_its_shard(shard: int) -> None:
    assert addresses.shard_of_mark(addresses.shard_done(BATCH, shard)) == shard


@pytest.mark.parametrize(
    "key",
    [
        addresses.stop(BATCH),
        addresses.shard_input(BATCH, 0),
        addresses.log_entry(BATCH, 0, 0),
        addresses.file_content("acme", new_file_id(NOW)),
        "incoming/night.jsonl",
        "incoming/night.event",
        f"incoming/work/{BATCH}/poke.event",
        "results/night.output.jsonl",
        f"results/{BATCH}/poke.event",
        f"files/work/{BATCH}/poke.event",
        f"work/{BATCH}.event",
        f"work/{BATCH}/.event",
        f"work/{BATCH}//poke.event",
        f"work/{BATCH}/poke.event/",
        f"work/{BATCH}/poke.event\n",
        f"work/{BATCH}/../poke.event",
        f"work/{BATCH}/poke.events",
        "work/batch_/poke.event",
        "work/other/poke.event",
        f"work/batch_{'a' * 65}/poke.event",
        "",
    ],
)
def test_nothing_else_is_an_event(key: str) -> None:
    assert addresses.batch_of_event(key) is None


def test_all_of_a_batch_under_way_is_under_its_work_and_no_other_batchs() -> None:
    longer = f"{BATCH}0"
    for batch, other in ((BATCH, longer), (longer, BATCH)):
        for key in (
            addresses.poke(batch),
            addresses.stop(batch),
            addresses.shard_input(batch, 1),
            addresses.log_entry(batch, 1, 2),
            addresses.shard_done(batch, 1),
        ):
            assert key.startswith(addresses.work(batch))
            assert not key.startswith(addresses.work(other))


def test_a_shards_log_and_marks_are_listed_by_their_beginnings() -> None:
    assert addresses.log_entry(BATCH, 1, 2).startswith(addresses.shard_log(BATCH, 1))
    assert not addresses.log_entry(BATCH, 10, 2).startswith(addresses.shard_log(BATCH, 1))
    assert addresses.shard_done(BATCH, 1).startswith(addresses.done(BATCH))


@given(st.integers(0, 999_999), st.integers(0, 999_999))
def test_entries_and_marks_are_in_the_order_of_their_numbers(one: int, other: int) -> None:
    assert (addresses.log_entry(BATCH, 0, one) < addresses.log_entry(BATCH, 0, other)) == (one < other)
    assert (addresses.shard_done(BATCH, one) < addresses.shard_done(BATCH, other)) == (one < other)
