"""Admit: reserve what the request may use, or say by which limit it is refused, and when to come again."""

import asyncio

from starlette.responses import Response

from functions.edge.exchange import Exchange, Proceed
from functions.edge.rate_limits import rate_limit_headers, refusal
from penstock import admission, refusals
from penstock.clock import now_ms
from penstock.entitlement import denied
from penstock.errors import ApiError
from penstock.ledger import AccessDenied, Refused, Reserved


async def admit(exchange: Exchange, proceed: Proceed) -> Response:
    """Set `exchange.lease`, or raise RateLimited (429), BudgetExceeded (402), Unauthenticated or Forbidden.

    Sets `exchange.credentials` before, or raises Unavailable: what cannot be sent on reserves nothing.
    Where the rest of the way fails, the lease is given back: a request that was never taken up is free.
    """
    exchange.credentials = await exchange.edge.keyring.get()
    now = now_ms()
    outcome = await _reserve(exchange, now)
    if isinstance(outcome, Refused):
        raise refusal(outcome, now)
    exchange.lease = outcome.lease
    exchange.facts.update(reserved_tokens=outcome.lease.bound.tokens)
    headers = rate_limit_headers(outcome.standings, now)
    try:
        response = await proceed()
    except BaseException as error:
        await asyncio.shield(exchange.give_back())
        if isinstance(error, ApiError):
            error.headers.update(headers)
        raise
    response.headers.update(headers)
    return response


async def _reserve(exchange: Exchange, now: int) -> Reserved | Refused:
    ledger = await exchange.edge.ledger()
    try:
        return await admission.admit(
            exchange.edge.refusals.before(ledger),
            exchange.caller,
            exchange.model,
            *exchange.call.demands(),
            request_id=exchange.request_id,
            now=now,
            claim_within_s=exchange.edge.settings.startup_budget_s,
        )
    except AccessDenied as error:
        raise await _denied(exchange) from error
    except admission.NoPrice as error:
        raise refusals.no_price(exchange.model) from error


async def _denied(exchange: Exchange) -> ApiError:
    """What has become of the caller since it was looked up, and from now on for every request of its key."""
    key_id = exchange.caller.key.id
    exchange.edge.callers.forget(key_id)
    return denied(await exchange.edge.callers.get(key_id), now_ms())
