"""Authenticate: whose key is this, and is it for this route?

A malformed key is refused without a look-up. An unknown id takes the same comparison as a known one.
Wrong keys cost look-ups, so an address may send so many at once and a minute (see `functions.edge.edge`);
beyond that it gets a 429 without one. Other keys from such an address still open what they open where this
process has seen them before: what is remembered of them is compared first, and a right secret is no guess.
A key that it has not seen has to wait, as those of a neighbour behind the same address would; behind a proxy
the server has to be told to take the address from it. More addresses than are counted can do more.
"""

from ipaddress import IPv6Address, ip_address

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from functions.edge.exchange import Exchange, Proceed
from penstock.clock import now_ms
from penstock.entitlement import incorrect_key, opens, read_key, require_entitled, require_route
from penstock.errors import RateLimited, Unauthenticated
from penstock.keys import ApiKey
from penstock.ledger import Caller


async def authenticate(exchange: Exchange, proceed: Proceed) -> Response:
    """Set `exchange.caller`, or raise Unauthenticated, Forbidden or RateLimited."""
    caller = await _caller(exchange, read_key(_presented(exchange.request.headers)))
    exchange.facts.update(key=caller.key.id, account=caller.account.id)
    require_entitled(caller, now_ms())
    require_route(caller, exchange.route.group)
    exchange.caller = caller
    return await proceed()


async def _caller(exchange: Exchange, key: ApiKey) -> Caller:
    """The caller whose secret this is. A look-up for a key that may be a guess is paid for before it is made."""
    callers, failures, address = exchange.edge.callers, exchange.edge.failures, _address(exchange.request)
    paid = callers.costs(key.id) and not opens(key, callers.last(key.id))
    if paid and (wait := failures.take(address)):
        raise _too_many(wait)
    try:
        caller = await callers.get(key.id)
    except BaseException:
        if paid:
            failures.give_back(address)
        raise
    if opens(key, caller) and caller is not None:
        if paid:
            failures.give_back(address)
        return caller
    if not paid and (wait := failures.take(address)):
        raise _too_many(wait)
    raise incorrect_key()


def _too_many(wait: int) -> RateLimited:
    return RateLimited(
        f"Too many requests with an incorrect API key came from this address. Try again in {wait} s.",
        code="too_many_failures",
        headers={"Retry-After": str(wait)},
    )


def _address(request: Request) -> str:
    """Where the request comes from; of IPv6 the network, since one host has a whole one to choose from."""
    host = request.client.host if request.client else ""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    return str(int(address) >> 64) if isinstance(address, IPv6Address) else host


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
