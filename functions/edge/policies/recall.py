"""Recall: with an `Idempotency-Key`, the same request is answered once, and the same answer given again.

The keys are an account's: the same key and body get the stored answer, whichever of its API keys asks.
Another body is a 422; a request that is still running, or whose answer was not kept, a 409. What failed is
forgotten, so that a retry runs. See `functions.edge.keeping` for what is kept.
"""

import asyncio
import re

from starlette.datastructures import Headers
from starlette.responses import Response

from functions.edge.attempt import Attempt, fingerprint
from functions.edge.exchange import Exchange, Proceed
from functions.edge.keeping import Keeping, given_again
from functions.edge.rate_limits import refusal
from penstock.admission import bound_of
from penstock.clock import now_ms
from penstock.errors import ApiError, BadRequest, Conflict, RateLimited, Unprocessable
from penstock.ledger import Idempotency, StoredAnswer

HEADER = "Idempotency-Key"
ASK_AGAIN_IN = 2  # seconds, while the same request is running

_FORM = re.compile(r"[!-~]{1,255}")  # visible ASCII


async def recall(exchange: Exchange, proceed: Proceed) -> Response:
    """Answer once, as `once`; what would be refused from memory, not at all."""
    if _key(exchange.request.headers) is not None:
        _spare_the_ledger(exchange)
    return await once(exchange, proceed)


async def once(exchange: Exchange, proceed: Proceed) -> Response:
    """The stored answer; or set `exchange.attempt` and keep what comes. Without the header, only proceed.

    `exchange.body` is what was asked. Raises BadRequest, Unprocessable (422), Conflict (409) or RateLimited (429).
    """
    key = _key(exchange.request.headers)
    if key is None:
        return await proceed()
    repetitions, key_id = exchange.edge.repetitions, exchange.caller.key.id
    if repetitions.empty(key_id):
        raise _too_many()
    attempt = Attempt(exchange.edge, exchange.caller.account, key, exchange.facts)
    found = await attempt.begin(fingerprint(exchange.route.method, exchange.route.path, exchange.body))
    if found is not Idempotency.FRESH:
        repetitions.take(key_id)  # each costs the store a write, and the caller nothing
    if isinstance(found, StoredAnswer):
        exchange.facts.update(idempotency="replayed")
        return given_again(found)
    if found is not Idempotency.FRESH:
        raise _refusal(found)
    exchange.attempt = attempt
    try:
        response = await proceed()
    except BaseException:
        await asyncio.shield(attempt.abandon())
        raise
    return Keeping(response, attempt)


def _key(headers: Headers) -> str | None:
    sent = headers.getlist(HEADER)
    if not sent:
        return None
    if len(sent) > 1 or not _FORM.fullmatch(sent[0]):
        raise BadRequest(f"{HEADER}: must be sent once, with 1 to 255 visible ASCII characters.", param=HEADER)
    return sent[0]


def _spare_the_ledger(exchange: Exchange) -> None:
    """A request that would be refused from memory is refused before the key is written down."""
    now, model = now_ms(), exchange.model
    price = model.price_at(now)
    if price is not None:
        bound = bound_of(model, price, *exchange.call.demands())
        if refused := exchange.edge.refusals.recall(exchange.caller.key.id, bound, now):
            raise refusal(refused, now)


def _too_many() -> RateLimited:
    return RateLimited(
        f"Too many requests with an {HEADER} that was used before.",
        code="too_many_repetitions",
        headers={"Retry-After": "1"},
    )


def _refusal(found: Idempotency) -> ApiError:
    if found is Idempotency.MISMATCH:
        return Unprocessable(
            f"{HEADER}: this key was used with another request. Take a new key for a new request.",
            param=HEADER,
            code="idempotency_key_reused",
        )
    if found is Idempotency.IN_FLIGHT:
        return Conflict(
            "The request with this Idempotency-Key is still running.",
            code="idempotency_in_flight",
            retry_after=ASK_AGAIN_IN,
        )
    return Conflict(
        "The request with this Idempotency-Key was answered, and the answer was not kept.",
        code="idempotency_answer_not_kept",
    )
