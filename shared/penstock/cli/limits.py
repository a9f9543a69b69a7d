"""The limits as options of a command, and as people read them."""

from dataclasses import replace
from typing import Annotated, Any

import typer

from penstock.administration import LimitsChange
from penstock.cli.failure import Failure
from penstock.ledger import Limits
from penstock.ledger.records import MOST
from penstock.prices import dollars, nano_of

RequestsPerMinute = Annotated[
    str | None, typer.Option("--requests-per-minute", metavar="N", help="Requests a minute, or `none`.")
]
TokensPerMinute = Annotated[
    str | None, typer.Option("--tokens-per-minute", metavar="N", help="Tokens a minute, or `none`.")
]
Concurrent = Annotated[
    str | None, typer.Option("--concurrent", metavar="N", help="Requests at the same time, or `none`.")
]
MonthlyBudget = Annotated[
    str | None,
    typer.Option("--monthly-budget", metavar="DOLLARS", help="Dollars a UTC month, such as 12.50, or `none`."),
]
MonthlyTokens = Annotated[
    str | None, typer.Option("--monthly-tokens", metavar="N", help="Tokens a UTC month, or `none`.")
]

_OPTIONS = {"concurrent_requests": "--concurrent"}
_MAY_BE_NOTHING = ("monthly_budget", "monthly_tokens")


def limits_change(
    *,
    requests_per_minute: str | None = None,
    tokens_per_minute: str | None = None,
    concurrent: str | None = None,
    monthly_budget: str | None = None,
    monthly_tokens: str | None = None,
) -> LimitsChange:
    """The limits that were given; `none` takes one away. Raises Failure."""
    change = LimitsChange()
    if requests_per_minute is not None:
        change["requests_per_minute"] = _limit("requests_per_minute", requests_per_minute)
    if tokens_per_minute is not None:
        change["tokens_per_minute"] = _limit("tokens_per_minute", tokens_per_minute)
    if concurrent is not None:
        change["concurrent_requests"] = _limit("concurrent_requests", concurrent)
    if monthly_budget is not None:
        change["monthly_budget"] = _limit("monthly_budget", monthly_budget)
    if monthly_tokens is not None:
        change["monthly_tokens"] = _limit("monthly_tokens", monthly_tokens)
    return change


def new_limits(change: LimitsChange) -> Limits:
    """The limits of what is new."""
    return replace(Limits(), **change)


def _limit(field: str, text: str) -> int | None:
    if text == "none":
        return None
    option = _OPTIONS.get(field, f"--{field.replace('_', '-')}")
    try:
        limit = nano_of(text) if field == "monthly_budget" else int(text)
    except ValueError as error:
        said = str(error) if field == "monthly_budget" else f"{text!r} is not a whole number"
        raise Failure(f"{option}: {said}", exit_code=2) from error
    if not (0 if field in _MAY_BE_NOTHING else 1) <= limit <= MOST:
        raise Failure(f"{option}: {text} is out of range", exit_code=2)
    return limit


def limits_text(limits: Limits) -> str:
    """The limits that are set, on one line."""
    budget = limits.monthly_budget
    parts = [
        f"{limits.requests_per_minute} requests/min" if limits.requests_per_minute is not None else "",
        f"{limits.tokens_per_minute} tokens/min" if limits.tokens_per_minute is not None else "",
        f"{limits.concurrent_requests} at once" if limits.concurrent_requests is not None else "",
        f"${dollars(budget)}/month" if budget is not None else "",
        f"{limits.monthly_tokens} tokens/month" if limits.monthly_tokens is not None else "",
    ]
    return ", ".join(part for part in parts if part) or "none"


def limits_json(limits: Limits) -> dict[str, Any]:
    """The limits as JSON: integers, nano-dollars for the budget, and the same in exact dollars."""
    budget = limits.monthly_budget
    return {
        "requests_per_minute": limits.requests_per_minute,
        "tokens_per_minute": limits.tokens_per_minute,
        "concurrent_requests": limits.concurrent_requests,
        "monthly_budget_nano_usd": budget,
        "monthly_budget_usd": None if budget is None else dollars(budget),
        "monthly_tokens": limits.monthly_tokens,
    }
