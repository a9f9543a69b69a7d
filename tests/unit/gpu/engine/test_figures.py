"""Histograms and rates, as plain numbers."""

import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from functions.gpu.engine.figures import FIRST_TOKEN_BOUNDS, INTER_TOKEN_BOUNDS, RATE_OVER, Rate, Tally

BOUNDS = (0.1, 1.0, 10.0)


@given(st.lists(st.sampled_from(BOUNDS) | st.floats(0, 1e6)))
def test_each_observation_counts_in_the_first_bucket_that_holds_it(seconds: list[float]) -> None:
    tally = Tally(BOUNDS)
    for one in seconds:
        tally.add(one)
    found = tally.histogram()
    edges = (-math.inf, *BOUNDS, math.inf)
    expected = [sum(low < one <= high for one in seconds) for low, high in pairwise(edges)]
    assert found.counts == tuple(expected)
    assert found.bounds == BOUNDS
    assert math.isclose(found.total, math.fsum(seconds), abs_tol=1e-9)


def test_a_snapshot_stays_as_it_was() -> None:
    tally = Tally(BOUNDS)
    before = tally.histogram()
    tally.add(0.5)
    assert sum(before.counts) == 0


def test_bounds_rise() -> None:
    for bounds in (FIRST_TOKEN_BOUNDS, INTER_TOKEN_BOUNDS):
        assert list(bounds) == sorted(set(bounds))


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(0, 50)), max_size=40), st.floats(0, 20))
def test_a_rate_is_of_the_last_seconds_and_the_total_of_all(events: list[tuple[float, int]], later: float) -> None:
    rate = Rate()
    began = now = rate._began
    times = []
    for after, count in events:
        now += after
        times.append(now)
        rate.add(count, now)
    now += later
    recent = sum(count for at, (_, count) in zip(times, events, strict=True) if at >= now - RATE_OVER)
    assert rate.per_second(now) == recent / min(RATE_OVER, max(now - began, 1e-9))
    assert rate.total == sum(count for _, count in events)


def test_what_is_long_past_is_forgotten() -> None:
    rate = Rate()
    for second in range(1000):
        rate.add(1, rate._began + second)
    assert len(rate._events) <= RATE_OVER + 1
    assert rate.per_second(rate._began + 2000) == 0
