"""Equal turns among owners, whatever each of them has waiting, and first come first served within one."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.gpu.engine import fair_queue
from functions.gpu.engine.fair_queue import FairQueue
from functions.gpu.engine.protocol import Sampling
from functions.gpu.engine.sequence import Sequence

OWNERS = "abc"
NOTHING: Counter[str] = Counter()


def sequence(number: int, owner: str = "a") -> Sequence:
    return Sequence([1], Sampling(max_tokens=1), owner=owner, order=(number, 0))


def queue(*sequences: Sequence) -> FairQueue:
    waiting = FairQueue()
    for one in sequences:
        waiting.add(one)
    return waiting


def begin(waiting: FairQueue, running: Counter[str] = NOTHING) -> Sequence:
    one = waiting.next(running)
    assert one is not None
    waiting.begin(one)
    return one


@given(st.lists(st.tuples(st.sampled_from(OWNERS), st.integers(0, 9)), unique=True, min_size=1))
def test_owners_take_turns_and_nobody_is_lost(arrivals: list[tuple[str, int]]) -> None:
    sequences = [sequence(number, owner) for owner, number in arrivals]
    waiting = queue(*sequences)
    begun = []
    while left := Counter(one.owner for one in waiting.sequences()):
        assert len(waiting) == sum(left.values())
        begun.append(begin(waiting))
        turns = Counter(one.owner for one in begun)
        for one, other in ((one, other) for one in left for other in left):
            assert abs(turns[one] - turns[other]) <= 1  # of those that still wait
    assert sorted(map(id, begun)) == sorted(map(id, sequences))
    for owner in OWNERS:
        orders = [one.order for one in begun if one.owner == owner]
        assert orders == sorted(orders)
    assert waiting.next(NOTHING) is None


@settings(max_examples=40)
@given(st.lists(st.sampled_from(OWNERS), min_size=30, max_size=60))
def test_who_waits_all_the_time_gets_its_turn_however_others_come_and_go(comers: list[str]) -> None:
    waiting = queue(*(sequence(number, "steady") for number in range(60)))
    begun = []
    for number, owner in enumerate(comers, 100):
        waiting.add(sequence(number, owner))
        begun.append(begin(waiting).owner)
    last = 0
    for place, owner in enumerate(begun):
        if owner == "steady":
            last = place
        assert place - last <= len(OWNERS)


@given(st.dictionaries(st.sampled_from(OWNERS), st.integers(0, 5), min_size=1))
def test_the_turn_is_the_owners_with_the_fewest_running(running: dict[str, int]) -> None:
    one = queue(*(sequence(number, owner) for number, owner in enumerate(running))).next(Counter(running))
    assert one is not None
    assert running[one.owner] == min(running.values())


def test_who_was_preempted_stands_before_later_ones() -> None:
    first, second, third = (sequence(number) for number in range(3))
    waiting = queue(first, third)
    assert begin(waiting) is first
    waiting.add(second)
    waiting.add(first)
    assert [begin(waiting) for _ in range(3)] == [first, second, third]


def test_the_one_whose_turn_it_is_stays_until_it_begins() -> None:
    one = sequence(0)
    waiting = queue(one)
    assert waiting.next(NOTHING) is waiting.next(NOTHING) is one
    assert len(waiting) == 1


def test_who_is_gone_is_not_next() -> None:
    first, second = sequence(0), sequence(1)
    waiting = queue(first, second)
    assert waiting.remove(first)
    assert not waiting.remove(first)
    assert begin(waiting) is second
    assert not waiting.remove(second)
    assert len(waiting) == 0


def test_no_more_owners_are_remembered_than_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fair_queue, "REMEMBERED", 2)
    waiting = queue(*(sequence(number, owner) for number, owner in enumerate("abcabc")))
    assert [begin(waiting).owner for _ in range(6)] == list("abcabc")
    assert len(waiting._turns) == 2
