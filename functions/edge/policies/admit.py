"""Admit: reserve what the request may use, or say by which limit it is refused, and when to come again."""

import asyncio
from collections.abc import Mapping
from functools import partial

from starlette.responses import Response

from functions.edge.exchange import Exchange, Proceed
from penstock import admission
from penstock.clock import SECOND, next_minute, now_ms
from penstock.errors import ApiError, BudgetExceeded, RateLimited, Unauthenticated, Unavailable
from penstock.ledger import AccessDenied, LimitName, Refused, Standings
from penstock.prices import dollars


async def admit(exchange: Exchange, proceed: Proceed) -> Response:
    """Set `exchange.lease`, or raise RateLimited (429), BudgetExceeded (402) or Unauthenticated (401).

    Where the rest of the way fails, the lease is given back: a request that was never taken up is free.
    """
    call, now = exchange.call, now_ms()
    demand = admission.Demand(call.prompt_bytes, len(call.messages), call.limit)
    try:
        outcome = await admission.admit(
            await exchange.edge.ledger(),
            exchange.caller,
            exchange.model,
            demand,
            request_id=exchange.request_id,
            now=now,
            claim_within_s=exchange.edge.settings.startup_budget_s,
        )
    except AccessDenied as error:
        raise Unauthenticated("This API key was revoked or has expired, or its account is off.") from error
    except admission.NoPrice as error:
        raise Unavailable(f"The model {exchange.model.name!r} has no price in force.", retry_after=60) from error
    if isinstance(outcome, Refused):
        raise _refusal(outcome, now)
    exchange.lease = outcome.lease
    exchange.facts.update(reserved_tokens=outcome.lease.bound.tokens)
    try:
        response = await proceed()
    except BaseException:
        await asyncio.shield(exchange.give_back())
        raise
    response.headers.update(rate_limit_headers(outcome.standings, now))
    return response


def _refusal(refused: Refused, now: int) -> ApiError:
    wait = max(1, -(-(refused.retry_at - now) // SECOND))
    headers = {"Retry-After": str(wait), **rate_limit_headers({refused.limit: refused.standing}, now)}
    if refused.hopeless or refused.limit is LimitName.MONTHLY_BUDGET:
        headers["x-should-retry"] = "false"
    kind = BudgetExceeded if refused.limit is LimitName.MONTHLY_BUDGET else RateLimited
    return kind(_explanation(refused, wait), headers=headers)


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


_HEADER_NAMES: Mapping[LimitName, str] = {
    LimitName.REQUESTS_PER_MINUTE: "requests",
    LimitName.TOKENS_PER_MINUTE: "tokens",
}


def rate_limit_headers(standings: Standings, now: int) -> dict[str, str]:
    """OpenAI's `x-ratelimit-*` headers, for the limits per minute that are set."""
    headers = {}
    reset = f"{-(-(next_minute(now) - now) // SECOND)}s"
    for limit, name in _HEADER_NAMES.items():
        if (standing := standings.get(limit)) is not None:
            headers[f"x-ratelimit-limit-{name}"] = str(standing.limit)
            headers[f"x-ratelimit-remaining-{name}"] = str(standing.remaining)
            headers[f"x-ratelimit-reset-{name}"] = reset
    return headers
