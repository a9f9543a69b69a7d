import pytest

from penstock.cli.failure import Failure
from penstock.cli.limits import limits_json, limits_text, limits_with
from penstock.ledger import Limits


def test_what_is_given_changes_and_the_rest_stays() -> None:
    before = Limits(requests_per_minute=5, monthly_budget=7)
    after = limits_with(before, requests_per_minute=None, tokens_per_minute="9", concurrent="2", monthly_budget="12.50")
    assert after == Limits(5, 9, 2, 12_500_000_000)


def test_none_takes_a_limit_away() -> None:
    assert limits_with(Limits(1, 2, 3, 4), concurrent="none", monthly_budget="none") == Limits(1, 2, None, None)


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("requests_per_minute", "0"),
        ("tokens_per_minute", "many"),
        ("concurrent", "-1"),
        ("concurrent", "9" * 30),
        ("monthly_budget", "-1"),
        ("monthly_budget", "five"),
        ("monthly_budget", "NaN"),
        ("monthly_budget", "Infinity"),
        ("monthly_budget", "0.0000000001"),
        ("monthly_budget", "1e12"),
    ],
)
def test_an_impossible_limit_is_refused_by_its_option(option: str, text: str) -> None:
    with pytest.raises(Failure, match=f"^--{option.replace('_', '-')}: ") as refused:
        limits_with(Limits(), **{option: text})
    assert refused.value.exit_code == 2


def test_a_budget_of_nothing_is_a_limit() -> None:
    assert limits_text(limits_with(Limits(), monthly_budget="0")) == "$0/month"


def test_as_text_and_json() -> None:
    limits = Limits(5, 9, 2, 12_500_000_000)
    assert limits_text(limits) == "5 requests/min, 9 tokens/min, 2 at once, $12.5/month"
    assert limits_text(Limits()) == "none"
    assert limits_json(limits)["monthly_budget_usd"] == "12.5"
    assert limits_json(Limits())["monthly_budget_usd"] is None
