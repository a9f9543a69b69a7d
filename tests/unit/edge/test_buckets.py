"""Token buckets: what they hold, how they fill, and how many there are."""

from collections.abc import Callable

import pytest

from functions.edge import buckets
from functions.edge.buckets import Buckets


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """A clock that stands, until it is told how many seconds have passed."""
    now = 1_000.0

    def forward(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(buckets, "monotonic", lambda: now)
    return forward


def test_a_bucket_holds_its_burst_and_says_when_there_is_more(pass_time: Callable[[float], None]) -> None:
    held = Buckets(burst=3, per_second=0.5, most=10)
    assert [held.take("a") for _ in range(3)] == [0, 0, 0]
    assert held.empty("a")
    assert held.take("a") == 2
    pass_time(1.5)
    assert held.take("a") == 1
    pass_time(0.5)
    assert [held.take("a"), held.take("a")] == [0, 2]
    assert held.take("b") == 0


def test_a_bucket_is_never_more_than_full(pass_time: Callable[[float], None]) -> None:
    held = Buckets(burst=2, per_second=1, most=10)
    held.take("a")
    pass_time(1_000)
    held.give_back("a")
    assert [held.take("a") for _ in range(3)] == [0, 0, 1]


def test_what_is_given_back_can_be_taken(pass_time: Callable[[float], None]) -> None:
    held = Buckets(burst=1, per_second=0.1, most=10)
    held.take("a")
    held.give_back("a")
    assert not held.empty("a")
    assert held.take("a") == 0


def test_the_longest_unused_is_forgotten_first(pass_time: Callable[[float], None]) -> None:
    held = Buckets(burst=1, per_second=0.1, most=2)
    for name in ("a", "b", "c"):
        held.take(name)
    assert [held.empty(name) for name in ("a", "b", "c")] == [False, True, True]
