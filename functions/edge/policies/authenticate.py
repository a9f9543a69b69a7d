"""Authenticate: whose key is this?

A malformed key is refused without a look-up. An unknown id takes the same comparison as a known one.
"""

from starlette.datastructures import Headers
from starlette.responses import Response

from functions.edge.exchange import Exchange, Proceed
from penstock import keys
from penstock.clock import now_ms
from penstock.errors import Forbidden, Unauthenticated

_NOBODY = "0" * 64  # no secret has this digest


async def authenticate(exchange: Exchange, proceed: Proceed) -> Response:
    """Set `exchange.caller`, or raise Unauthenticated or Forbidden."""
    key = keys.parse(_presented(exchange.request.headers))
    if key is None:
        raise Unauthenticated("The API key is malformed. A Penstock key begins with 'ps_'.")
    ledger = await exchange.edge.ledger()
    caller = await ledger.caller(key.id)
    if not key.matches(caller.key.digest if caller else _NOBODY) or caller is None:
        raise Unauthenticated("Incorrect API key.")
    exchange.facts.update(key=caller.key.id, account=caller.account.id)
    if not caller.key.usable(now_ms()):
        raise Unauthenticated("This API key was revoked or has expired.")
    if not caller.account.enabled:
        raise Forbidden("This account is switched off.", code="account_disabled")
    exchange.caller = caller
    return await proceed()


def _presented(headers: Headers) -> str:
    """The key as sent: `Authorization: Bearer KEY`, or `x-api-key: KEY`."""
    authorization = headers.get("authorization")
    if authorization is None:
        key = headers.get("x-api-key")
        if key is None:
            raise Unauthenticated(
                "No API key. Send it as 'Authorization: Bearer KEY' or 'x-api-key: KEY'.",
                code="missing_api_key",
            )
        return key
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated("The Authorization header must be 'Bearer KEY'.")
    return credentials.strip()
