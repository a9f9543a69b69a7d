import pytest

from penstock.cli.failure import Failure
from penstock.cli.limits import limits_change, limits_json, limits_text, new_limits
from penstock.ledger import Limits


def test_only_what_is_given_changes() -> None:
    assert limits_change() == {}
    change = limits_change(tokens_per_minute="9", concurrent="2", monthly_budget="12.50", monthly_tokens="1000")
    assert change == {
        "tokens_per_minute": 9,
        "concurrent_requests": 2,
        "monthly_budget": 12_500_000_000,
        "monthly_tokens": 1_000,
    }
    assert new_limits(change) == Limits(None, 9, 2, 12_500_000_000, 1_000)


def test_none_takes_a_limit_away() -> None:
    every = ("requests_per_minute", "tokens_per_minute", "concurrent", "monthly_budget", "monthly_tokens")
    change = limits_change(**dict.fromkeys(every, "none"))
    assert change == dict.fromkeys(Limits.__slots__)


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("requests_per_minute", "0"),
        ("tokens_per_minute", "many"),
        ("concurrent", "-1"),
        ("concurrent", "9" * 30),
        ("concurrent", "9" * 5_000),
        ("monthly_budget", "-1"),
        ("monthly_budget", "five"),
        ("monthly_budget", "NaN"),
        ("monthly_budget", "Infinity"),
        ("monthly_budget", "0.0000000001"),
        ("monthly_budget", "1e12"),
        ("monthly_budget", "10000001"),
        ("monthly_tokens", "-1"),
        ("monthly_tokens", "1.5"),
        ("monthly_tokens", "10000000000000001"),
    ],
)
def test_an_impossible_limit_is_refused_by_its_option(option: str, text: str) -> None:
    with pytest.raises(Failure, match=f"^--{option.replace('_', '-')}: ") as refused:
        limits_change(**{option: text})
    assert refused.value.exit_code == 2


def test_a_budget_of_nothing_is_a_limit() -> None:
    assert limits_text(new_limits(limits_change(monthly_budget="0"))) == "$0/month"
    assert limits_text(new_limits(limits_change(monthly_tokens="0"))) == "0 tokens/month"


def test_as_text_and_json() -> None:
    limits = Limits(5, 9, 2, 12_500_000_000, 1_000_000)
    assert limits_text(limits) == "5 requests/min, 9 tokens/min, 2 at once, $12.5/month, 1000000 tokens/month"
    assert limits_text(Limits()) == "none"
    assert limits_json(limits) == {
        "requests_per_minute": 5,
        "tokens_per_minute": 9,
        "concurrent_requests": 2,
        "monthly_budget_nano_usd": 12_500_000_000,
        "monthly_budget_usd": "12.5",
        "monthly_tokens": 1_000_000,
    }
    assert set(limits_json(Limits()).values()) == {None}
