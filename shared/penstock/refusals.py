"""The errors of a request for which nothing could be reserved, in the API's words and with the limit's numbers.

The edge and direct calls raise these. What only HTTP needs, such as the `x-ratelimit-*` headers, is the edge's.
"""

from functools import partial
from typing import Any

from penstock.clock import SECOND
from penstock.errors import ApiError, BudgetExceeded, RateLimited, Unavailable
from penstock.ledger.records import LimitName, Refused
from penstock.models import ServedModel
from penstock.prices import dollars


def refusal(refused: Refused, now: int) -> ApiError:
    """The error of a refused reservation: 402 for what is counted by the month, else 429."""
    wait = max(1, -(-(refused.retry_at - now) // SECOND))
    headers = {"Retry-After": str(wait)}
    if refused.hopeless or refused.limit.monthly:
        headers["x-should-retry"] = "false"
    kind = BudgetExceeded if refused.limit.monthly else RateLimited
    return kind(_explanation(refused, wait), headers=headers, details={"limit": _numbers(refused, wait)})


def no_price(model: ServedModel) -> Unavailable:
    """The error of a model that has no price in force."""
    return Unavailable(f"The model {model.name!r} has no price in force.", retry_after=60)


def ledger_unavailable() -> Unavailable:
    """The error of a request for which the ledger could not be asked."""
    return Unavailable("The ledger cannot be reached.", code="ledger_unavailable")


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
