"""The errors of a refused reservation: which status, when to come again, and the limit's numbers."""

import pytest

from penstock.errors import BudgetExceeded, RateLimited
from penstock.ledger import LimitName, Refused, Standing
from penstock.refusals import refusal

NOW = 1_790_000_000_000


def test_a_refusal_of_money_is_a_402_in_nano_dollars_and_exact_dollars() -> None:
    standing = Standing(limit=2_000_000_000, spent=1_500_000_000, reserved=499_999_999)
    error = refusal(Refused(LimitName.MONTHLY_BUDGET, "account", standing, 2, NOW + 86_400_000), NOW)
    assert isinstance(error, BudgetExceeded)
    assert error.headers == {"Retry-After": "86400", "x-should-retry": "false"}
    assert error.envelope()["error"]["limit"] == {
        "name": "monthly_budget",
        "scope": "account",
        "limit": 2_000_000_000,
        "reserved": 499_999_999,
        "spent": 1_500_000_000,
        "requested": 2,
        "remaining": 1,
        "limit_usd": "2",
        "reserved_usd": "0.499999999",
        "spent_usd": "1.5",
        "requested_usd": "0.000000002",
        "remaining_usd": "0.000000001",
        "retry_after_s": 86_400,
    }


def test_a_refusal_of_the_months_tokens_is_a_402_in_tokens() -> None:
    error = refusal(Refused(LimitName.MONTHLY_TOKENS, "key", Standing(1_000, 900, 0), 200, NOW + 1_500), NOW)
    assert isinstance(error, BudgetExceeded)
    assert "Over the key's limit of monthly tokens: limit 1,000, spent 900" in error.message
    assert error.details["limit"] == {
        "name": "monthly_tokens",
        "scope": "key",
        "limit": 1_000,
        "reserved": 0,
        "spent": 900,
        "requested": 200,
        "remaining": 100,
        "retry_after_s": 2,
    }


@pytest.mark.parametrize(("retry_after_ms", "said"), [(1, "1"), (0, "1"), (1_000, "1"), (1_001, "2")])
def test_a_limit_per_minute_is_a_429_that_passes(retry_after_ms: int, said: str) -> None:
    refused = Refused(LimitName.REQUESTS_PER_MINUTE, "account", Standing(5, 5, 0), 1, NOW + retry_after_ms)
    error = refusal(refused, NOW)
    assert isinstance(error, RateLimited)
    assert error.headers == {"Retry-After": said}
    assert error.message.endswith(f"Try again in {said} s.")


def test_what_can_never_fit_is_not_to_be_tried_again() -> None:
    refused = Refused(LimitName.TOKENS_PER_MINUTE, "key", Standing(100, 0, 0), 101, NOW + 1_000)
    error = refusal(refused, NOW)
    assert isinstance(error, RateLimited)
    assert error.headers["x-should-retry"] == "false"
    assert error.message.endswith("Ask for less: it can never fit.")
