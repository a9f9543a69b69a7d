"""Shards: every line in one of them, of one model, as large as they may be, and prompts that begin alike together."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from functions.batch import sharding
from functions.batch.sharding import WINDOW_BYTES, WINDOW_LINES, Sharding, Window
from functions.batch.task import Task
from penstock.batches.records import Shard
from tests.unit.batch.inputs import NOW


def task(number: int, *, model: str = "talker", beginning: bytes = b"", expected: int = 10, tokens: int = 20) -> Task:
    return Task(number, model, beginning, tokens, expected, b"%d\n" % number)


def cut(*tasks: Task, most_tokens: int = 100, most_lines: int = 10) -> list[tuple[Shard, list[int]]]:
    cutting, window = Sharding("batch_1", most_tokens=most_tokens, most_lines=most_lines, now=NOW), Window(3)
    for one in tasks:
        window.add(one, 1)
    return [(shard, list(map(int, content.split()))) for shard, content in cutting.cut(window)]


tasks = st.lists(
    st.builds(
        task,
        st.integers(1, 1_000),
        model=st.sampled_from(["talker", "other"]),
        beginning=st.sampled_from([b"", b"a", b"ab", b"b"]),
        expected=st.integers(1, 60),
    ),
    unique_by=lambda one: one.number,
)


@given(tasks)
def test_every_line_is_in_one_shard_of_its_model(given: list[Task]) -> None:
    by_number = {one.number: one for one in given}
    found = cut(*given)
    assert sorted(number for _, numbers in found for number in numbers) == sorted(by_number)
    for place, (shard, numbers) in enumerate(found):
        members = [by_number[number] for number in numbers]
        assert (shard.number, shard.window, shard.lines, shard.since) == (place, 3, len(numbers), NOW)
        assert {one.model for one in members} == {shard.model}
        assert shard.tokens == 20 * len(numbers)
        assert len(numbers) == 1 or (len(numbers) <= 10 and sum(one.expected for one in members) <= 100)


@given(tasks, st.randoms())
def test_the_same_lines_make_the_same_shards_by_their_beginnings(given: list[Task], chance: Random) -> None:
    found, shuffled = cut(*given), list(given)
    chance.shuffle(shuffled)
    assert cut(*shuffled) == found
    by_number = {one.number: one for one in given}
    order = [by_number[number] for _, numbers in found for number in numbers]
    assert order == sorted(order, key=lambda one: (one.model, one.beginning, one.number))


def test_a_shard_is_filled_before_another_is_begun() -> None:
    assert [numbers for _, numbers in cut(*(task(number, expected=30) for number in range(1, 8)))] == [
        [1, 2, 3],
        [4, 5, 6],
        [7],
    ]
    assert [len(numbers) for _, numbers in cut(*map(task, range(1, 26)), most_tokens=10_000)] == [10, 10, 5]


def test_a_line_of_more_tokens_than_a_shard_has_one_of_its_own() -> None:
    found = cut(task(1), task(2, beginning=b"a", expected=500), task(3, beginning=b"b"))
    assert [numbers for _, numbers in found] == [[1], [2], [3]]


def test_shards_of_few_lines_are_not_many() -> None:
    cutting = Sharding("batch_1", most_tokens=1, most_lines=2_000, now=NOW)
    for number in range(10):
        window = Window(number)
        for place in range(4_096):
            window.add(task(1 + 4_096 * number + place), 1)
        assert sum(shard.lines for shard, _ in cutting.cut(window)) == 4_096
    assert [shard.number for shard in cutting.shards] == list(range(len(cutting.shards)))
    assert len(cutting.shards) < (2 * sharding._SHARDS_PER_LEAST * 40_960) ** 0.5 + 64


def test_a_window_is_bounded_in_bytes_and_lines() -> None:
    window = Window(0)
    assert window.holds(WINDOW_BYTES + 1)
    window.add(task(1), WINDOW_BYTES - 10)
    assert window.holds(10)
    assert not window.holds(11)
    window = Window(0)
    for number in range(WINDOW_LINES):
        assert window.holds(1)
        window.add(task(number), 1)
    assert not window.holds(0)
