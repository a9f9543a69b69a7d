"""The four limits as options of a command, and as people read them."""

from dataclasses import replace
from typing import Annotated, Any

import typer

from penstock.cli.failure import Failure
from penstock.ledger import Limits
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

_LARGEST = 10**18  # what is larger was mistyped; a store's integers hold it


def limits_with(limits: Limits, **given: str | None) -> Limits:
    """The limits with those that were given; `none` takes one away. Raises Failure.

    `given` has `requests_per_minute`, `tokens_per_minute`, `concurrent` and `monthly_budget`.
    """
    fields = {"concurrent_requests" if name == "concurrent" else name: text for name, text in given.items()}
    changes = {field: _limit(field, text) for field, text in fields.items() if text is not None}
    return replace(limits, **changes)


def _limit(field: str, text: str) -> int | None:
    if text == "none":
        return None
    option = "--concurrent" if field == "concurrent_requests" else f"--{field.replace('_', '-')}"
    try:
        limit = nano_of(text) if field == "monthly_budget" else int(text)
    except ValueError as error:
        said = str(error) if field == "monthly_budget" else f"{text!r} is not a whole number"
        raise Failure(f"{option}: {said}", exit_code=2) from error
    if not (0 if field == "monthly_budget" else 1) <= limit <= _LARGEST:
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
    }
