"""Prices: exact costs, upper bounds that hold, and amounts as people write them."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.prices import NANO, Price, dollars, nano_of, nano_per_token

per_token = st.integers(0, 10**6)
prices = st.builds(Price, st.just("v1"), per_token, per_token, per_token)
counts = st.integers(0, 10_000)


@st.composite
def bounded_usages(draw: st.DrawFn) -> tuple[int, int, int, int, int, int]:
    """A usage within bounds: prompt, cached, completion; and the bounds: prompt, completion, context."""
    context = draw(st.integers(1, 10_000))
    most_prompt, most_completion = draw(counts.filter(lambda n: n <= context)), draw(counts)
    prompt = draw(st.integers(0, most_prompt))
    completion = draw(st.integers(0, min(most_completion, context - prompt)))
    return prompt, draw(st.integers(0, prompt)), completion, most_prompt, most_completion, context


def test_a_cost_counts_cached_tokens_at_their_own_price() -> None:
    price = Price("v1", prompt=1_000, cached_prompt=100, completion=2_000)
    assert price.cost(20, 10, 30) == 10 * 1_000 + 10 * 100 + 30 * 2_000
    assert price.cost(0, 0, 0) == 0


@given(prices, bounded_usages())
def test_no_usage_within_the_bounds_costs_more_than_the_most(
    price: Price, usage: tuple[int, int, int, int, int, int]
) -> None:
    prompt, cached, completion, *bounds = usage
    assert price.cost(prompt, cached, completion) <= price.most(*bounds)


@given(prices, bounded_usages())
def test_the_most_is_not_more_than_the_dearest_usage(price: Price, usage: tuple[int, int, int, int, int, int]) -> None:
    *_, most_prompt, most_completion, context = usage
    dearest = max(price.prompt, price.cached_prompt)
    corners = (
        (most_prompt, min(most_completion, context - most_prompt)),
        (min(most_prompt, max(context - most_completion, 0)), min(most_completion, context)),
    )
    assert price.most(most_prompt, most_completion, context) == max(
        prompt * dearest + completion * price.completion for prompt, completion in corners
    )


@pytest.mark.parametrize(("written", "nano"), [("1", 1_000), ("0.001", 1), ("0", 0), ("2.5", 2_500)])
def test_dollars_per_million_tokens_are_whole_nano_dollars_per_token(written: str, nano: int) -> None:
    assert nano_per_token(Decimal(written)) == nano


@pytest.mark.parametrize("written", ["0.0001", "-1", "1.0005"])
def test_a_price_that_would_be_rounded_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match=r"multiple of 0\.001"):
        nano_per_token(Decimal(written))


@given(st.integers(0, 10**18))
def test_an_amount_survives_being_written_and_read(nano: int) -> None:
    assert nano_of(dollars(nano)) == nano


@pytest.mark.parametrize(
    ("nano", "written"),
    [(0, "0"), (1, "0.000000001"), (1_500_000, "0.0015"), (NANO, "1"), (10 * NANO, "10"), (-NANO // 2, "-0.5")],
)
def test_dollars_are_written_exactly(nano: int, written: str) -> None:
    assert dollars(nano) == written


@pytest.mark.parametrize("written", ["", "ten", "1.0000000001", "-1", "NaN", "Infinity", "1e999999", "$5"])
def test_what_is_no_amount_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match=r"dollars"):
        nano_of(written)
