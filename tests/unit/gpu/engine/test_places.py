"""Places to wait in: nobody gets the last ones, all of them come back, and the time to ask again is bounded."""

import threading
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.gpu.engine import places as places_module
from functions.gpu.engine.places import FIRST_RETRY_S, MOST_RETRY_S, SHARE, Places
from functions.gpu.engine.protocol import QueueFull

ACTIONS = st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=60)


class Clock:
    """time.monotonic, set by the test."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


def fill(places: Places, owner: str) -> int:
    """How many places an owner gets."""
    for taken in range(10_000):
        try:
            places.take(owner)
        except QueueFull:
            return taken
    raise AssertionError("there is no end to them")


@given(st.integers(1, 40), ACTIONS)
def test_who_waits_is_counted_and_no_more_wait_than_may(limit: int, actions: list[tuple[str, bool]]) -> None:
    places = Places(limit)
    held: Counter[str] = Counter()
    refused = 0
    for owner, comes in actions:
        if not comes and held[owner]:
            places.free(owner, begun=held.total() % 2 == 0)
            held[owner] -= 1
        elif comes and held[owner] < SHARE * (limit - held.total()):
            places.take(owner)
            held[owner] += 1
        elif comes:
            refused += 1
            with pytest.raises(QueueFull) as full:
                places.take(owner)
            assert (full.value.waiting, full.value.limit, full.value.own) == (held.total(), limit, held[owner])
            assert 1 <= full.value.retry_after_s <= MOST_RETRY_S
        assert places.waiting == held.total() <= limit
        assert places.refused == refused
    for owner in held.elements():
        places.free(owner, begun=True)
    assert places.waiting == 0
    assert fill(places, "d") == fill(Places(limit), "d")


@given(st.integers(4, 200))
def test_a_flood_fills_three_quarters_and_others_find_places(limit: int) -> None:
    places = Places(limit)
    flood = fill(places, "flood")
    assert abs(flood - limit * SHARE / (SHARE + 1)) < 1
    assert fill(places, "other") >= max(1, (limit - flood) * SHARE // (SHARE + 1))
    places.free("flood", begun=False)
    assert places.waiting < limit


def test_one_place_is_one_place() -> None:
    places = Places(1)
    assert fill(places, "a") == 1
    assert fill(places, "b") == 0


@pytest.mark.parametrize(
    ("begun", "retry_after"), [(0, FIRST_RETRY_S), (1, MOST_RETRY_S), (8, 30), (240, 1), (10_000, 1)]
)
def test_the_time_to_ask_again_is_that_in_which_the_waiting_begin(
    begun: int, retry_after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(places_module, "time", clock)
    places = Places(32)
    places._rate._began = 0.0  # it has been there for long
    for _ in range(begun):
        places.take("a")
        places.free("a", begun=True)
    clock.now += 1
    assert fill(places, "a") == 24
    with pytest.raises(QueueFull) as full:
        places.take("a")
    assert full.value.retry_after_s == retry_after


def test_threads_lose_no_place() -> None:
    places = Places(50)
    taken: Counter[str] = Counter()

    def come_and_go(owner: str) -> None:
        for _ in range(500):
            try:
                places.take(owner)
            except QueueFull:
                continue
            taken[owner] += 1
            places.free(owner, begun=True)

    threads = [threading.Thread(target=come_and_go, args=(owner,)) for owner in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(taken.values()) + places.refused == 4 * 500
    assert places.waiting == 0
