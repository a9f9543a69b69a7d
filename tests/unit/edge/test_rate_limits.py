"""Headers of limits, as they go out."""

import pytest

from functions.edge.rate_limits import duration, rate_limit_headers, refusal
from penstock.clock import MINUTE
from penstock.errors import RateLimited
from penstock.ledger import LimitName, Refused, Standing

NOW = 1_790_000_000_000 // MINUTE * MINUTE + 30_500  # 29.5 s before the next minute


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (1, "1ms"),
        (20, "20ms"),
        (999, "999ms"),
        (1_000, "1s"),
        (1_001, "2s"),
        (59_000, "59s"),
        (59_001, "1m0s"),
        (60_000, "1m0s"),
        (360_000, "6m0s"),
        (61_500, "1m2s"),
    ],
)
def test_a_duration_is_written_as_openai_writes_it(milliseconds: int, text: str) -> None:
    assert duration(milliseconds) == text


def test_headers_tell_the_limits_of_the_minute() -> None:
    standings = {
        LimitName.REQUESTS_PER_MINUTE: Standing(60, 3, 1),
        LimitName.TOKENS_PER_MINUTE: Standing(150_000, 16, 150_000),
        LimitName.MONTHLY_BUDGET: Standing(1, 0, 0),
    }
    assert rate_limit_headers(standings, NOW) == {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "56",
        "x-ratelimit-reset-requests": "30s",
        "x-ratelimit-limit-tokens": "150000",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "30s",
    }


def test_a_refusal_tells_of_the_other_limits_too() -> None:
    standings = {LimitName.TOKENS_PER_MINUTE: Standing(500, 0, 0), LimitName.CONCURRENT_REQUESTS: Standing(1, 0, 1)}
    refused = Refused(LimitName.CONCURRENT_REQUESTS, "key", Standing(1, 0, 1), 1, NOW + 1_000, standings)
    error = refusal(refused, NOW)
    assert isinstance(error, RateLimited)
    assert error.headers == {
        "Retry-After": "1",
        "x-ratelimit-limit-tokens": "500",
        "x-ratelimit-remaining-tokens": "500",
        "x-ratelimit-reset-tokens": "30s",
    }
