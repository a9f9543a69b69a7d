"""Dispatch: sign the ticket, and relay the GPU's answer or send the client there.

Direct delivery (see `validate` for who gets it) is a 307, towards a warm GPU process only; a cold one is relayed,
and so is an answer under an `Idempotency-Key`. The header `Penstock-Delivery` of the answer says which.
"""

from starlette.responses import Response

from functions.edge.exchange import Exchange, Proceed
from functions.edge.relay import Relay
from functions.edge.upstream import Upstream
from penstock.clock import SECOND
from penstock.ticket import Ticket, hash_body


async def dispatch(exchange: Exchange, _: Proceed) -> Response:
    """The GPU's answer, or the way to it. Nothing comes after this policy."""
    ticket = _ticket(exchange)
    upstream = Upstream(exchange, ticket)
    # An answer that is to be kept has to come through here.
    if exchange.delivery == "direct" and exchange.attempt is None and await upstream.warm():
        exchange.facts.update(delivery="direct")
        return _redirect(exchange, ticket)
    exchange.facts.update(delivery="relay")
    response = await Relay(exchange, upstream).answer()
    response.headers["Penstock-Delivery"] = "relay"
    return response


def _ticket(exchange: Exchange) -> str:
    ticket = Ticket(
        lease=exchange.lease,
        body_hash=hash_body(exchange.body),
        expires_at=exchange.lease.reserved_at + exchange.edge.settings.startup_budget_s * SECOND,
    )
    return exchange.credentials.tickets.sign(ticket)


def _redirect(exchange: Exchange, ticket: str) -> Response:
    public = exchange.edge.gpu_public
    assert public is not None  # noqa: S101 (by `validate`)
    location = f"{public.of(exchange.model.name)}{exchange.request.url.path}?ticket={ticket}"
    # The location holds the ticket: it must not be kept by anything on the way.
    headers = {"Location": location, "Cache-Control": "no-store", "Penstock-Delivery": "direct"}
    return Response(status_code=307, headers=headers)
