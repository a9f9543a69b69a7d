"""A number's spread over rounds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.spread import Spread, percentile

POSITIVE = st.floats(min_value=1e-6, max_value=1e9)


def test_a_spread_is_the_median_between_the_lowest_and_the_highest() -> None:
    assert Spread.of([5, 1, 9, 3]) == Spread(median=4, low=1, high=9)


def test_a_ratio_is_taken_round_by_round() -> None:
    # The machine was ten times slower in the second round, for both.
    assert Spread.of_ratios([20, 200], [10, 100]) == Spread(2, 2, 2)


def test_rounds_of_unequal_number_are_no_ratio() -> None:
    with pytest.raises(ValueError, match="shorter"):
        Spread.of_ratios([1, 2], [1])


@given(st.lists(POSITIVE, min_size=1), st.floats(min_value=1, max_value=100))
def test_a_percentile_is_one_of_the_values_and_not_below_its_share(values: list[float], percent: float) -> None:
    found = percentile(values, percent)
    assert found in values
    assert sum(value <= found for value in values) * 100 >= percent * len(values) - 1e-6


def test_the_percentiles_of_a_hundred() -> None:
    values = list(range(1, 101))
    assert [percentile(values, percent) for percent in (1, 50, 99, 100)] == [1, 50, 99, 100]


def test_nothing_measured_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        Spread.of([])
    with pytest.raises(ValueError, match="nothing was measured"):
        percentile([], 50)
