"""How limits are told: OpenAI's `x-ratelimit-*` headers, and the 429 or 402 of a request that passes one.

The headers' names and the form of their durations (`20ms`, `1s`, `6m0s`) are those of OpenAI's guide
"Rate limits". They speak of the limits per minute, of account or key, whichever has less left; a refusal's
body has the numbers of the limit that it is about, whatever that is.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from penstock.clock import MINUTE, SECOND, next_minute
from penstock.errors import ApiError, BudgetExceeded, RateLimited
from penstock.ledger import LimitName, Refused, Standings
from penstock.prices import dollars

_HEADER_NAMES: Mapping[LimitName, str] = {
    LimitName.REQUESTS_PER_MINUTE: "requests",
    LimitName.TOKENS_PER_MINUTE: "tokens",
}


def rate_limit_headers(standings: Standings, now: int) -> dict[str, str]:
    """The `x-ratelimit-*` headers, for the limits per minute that are set."""
    headers = {}
    reset = duration(next_minute(now) - now)
    for limit, name in _HEADER_NAMES.items():
        if (standing := standings.get(limit)) is not None:
            headers[f"x-ratelimit-limit-{name}"] = str(standing.limit)
            headers[f"x-ratelimit-remaining-{name}"] = str(standing.remaining)
            headers[f"x-ratelimit-reset-{name}"] = reset
    return headers


def duration(milliseconds: int) -> str:
    """A time as OpenAI writes it. Whole numbers only, rounded up: that is what clients read."""
    if milliseconds < SECOND:
        return f"{milliseconds}ms"
    minutes, rest = divmod(-(-milliseconds // SECOND), MINUTE // SECOND)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def refusal(refused: Refused, now: int) -> ApiError:
    """The error of a refused reservation: 402 for what is counted by the month, else 429."""
    wait = max(1, -(-(refused.retry_at - now) // SECOND))
    headers = {"Retry-After": str(wait), **rate_limit_headers(refused.standings, now)}
    if refused.hopeless or refused.limit.monthly:
        headers["x-should-retry"] = "false"
    kind = BudgetExceeded if refused.limit.monthly else RateLimited
    return kind(_explanation(refused, wait), headers=headers, details={"limit": _numbers(refused, wait)})


def _numbers(refused: Refused, wait: int) -> dict[str, Any]:
    """What the error's `limit` says. Money is in nano-dollars, and again in exact dollars as text."""
    standing = refused.standing
    amounts = {
        "limit": standing.limit,
        "reserved": standing.reserved,
        "spent": standing.spent,
        "requested": refused.requested,
        "remaining": standing.remaining,
    }
    money = refused.limit is LimitName.MONTHLY_BUDGET
    in_dollars = {f"{name}_usd": dollars(amount) for name, amount in amounts.items()} if money else {}
    return {
        "name": refused.limit.value,
        "scope": refused.scope,
        **amounts,
        **in_dollars,
        "retry_after_s": wait,
    }


def _explanation(refused: Refused, wait: int) -> str:
    standing, shown = refused.standing, partial(_shown, refused.limit)
    numbers = (
        f"limit {shown(standing.limit)}, spent {shown(standing.spent)}, reserved {shown(standing.reserved)}, "
        f"this request needs up to {shown(refused.requested)}"
    )
    advice = "Ask for less: it can never fit." if refused.hopeless else f"Try again in {wait} s."
    return f"Over the {refused.scope}'s limit of {refused.limit.replace('_', ' ')}: {numbers}. {advice}"


def _shown(limit: LimitName, amount: int) -> str:
    return f"${dollars(amount)}" if limit is LimitName.MONTHLY_BUDGET else f"{amount:,}"
