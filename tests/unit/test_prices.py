"""Prices: exact costs, upper bounds that hold, and amounts as people write them."""

from dataclasses import dataclass
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.prices import NANO, Price, dollars, nano_of, nano_per_token

per_token = st.integers(0, 10**6)
prices = st.builds(Price, st.just("v1"), per_token, per_token, per_token)


@dataclass(frozen=True)
class Bounds:
    """The most of a request: of its prompt, of each choice, and of both together."""

    prompt: int
    completion: int
    context: int
    choices: int

    def most(self, price: Price) -> int:
        """The most that it costs."""
        return price.most(self.prompt, self.completion, self.context, choices=self.choices)


@st.composite
def bounds(draw: st.DrawFn, largest: int = 10_000) -> Bounds:
    """Any bounds of a prompt within the context."""
    context = draw(st.integers(1, largest))
    return Bounds(draw(st.integers(0, context)), draw(st.integers(0, 2 * largest)), context, draw(st.integers(1, 8)))


def test_a_cost_counts_cached_tokens_at_their_own_price() -> None:
    price = Price("v1", prompt=1_000, cached_prompt=100, completion=2_000)
    assert price.cost(20, 10, 30) == 10 * 1_000 + 10 * 100 + 30 * 2_000
    assert price.cost(0, 0, 0) == 0


def test_a_price_times_a_factor_is_exact_or_refused() -> None:
    price = Price("v1", prompt=100, cached_prompt=50, completion=200)
    assert price.times(Decimal("0.5"), "v1/half") == Price("v1/half", 50, 25, 100)
    with pytest.raises(ValueError, match=r"12\.5 nano-dollars per token is not a whole number of them"):
        price.times(Decimal("0.25"), "v1/quarter")


@given(prices, bounds(), st.data())
def test_no_usage_within_the_bounds_costs_more_than_the_most(price: Price, most: Bounds, data: st.DataObject) -> None:
    prompt = data.draw(st.integers(0, most.prompt), "prompt")
    of_each = st.integers(0, min(most.completion, most.context - prompt))
    completions = data.draw(st.lists(of_each, min_size=most.choices, max_size=most.choices), "completions")
    assert price.cost(prompt, data.draw(st.integers(0, prompt), "cached"), sum(completions)) <= most.most(price)


@given(prices, bounds(largest=60))
def test_the_most_is_the_dearest_usage(price: Price, most: Bounds) -> None:
    """Of every split of the context between the prompt and choices that are all as long as they may be."""
    dearest = max(price.prompt, price.cached_prompt)
    assert most.most(price) == max(
        prompt * dearest + most.choices * min(most.completion, most.context - prompt) * price.completion
        for prompt in range(most.prompt + 1)
    )


def test_many_choices_make_a_short_prompt_the_dearest() -> None:
    """Of a context of 10 tokens, a prompt of 8 leaves 2 to each choice, and one of 4 leaves 6."""
    price = Price("v1", prompt=40, cached_prompt=10, completion=30)
    assert price.most(8, 6, 10) == 8 * 40 + 2 * 30
    assert price.most(8, 6, 10, choices=2) == 4 * 40 + 2 * 6 * 30


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
