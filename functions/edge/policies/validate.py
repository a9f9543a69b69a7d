"""Validate: is anybody served now, and is this a request that we can honour, for a model that this key may use?

How it is delivered the caller says (`Penstock-Delivery`), or else the deployment does (`PENSTOCK_DELIVERY`). Where
the deployment says `direct`, those who did not ask for it and could not follow are relayed: who sends the key as
`x-api-key`, and pages in a browser, since the GPU process answers no other site's.
"""

from starlette.datastructures import Headers
from starlette.responses import Response

from functions.edge.body import read_body
from functions.edge.exchange import Exchange, Proceed
from penstock.entitlement import require_switched_on
from penstock.errors import BadRequest
from penstock.intakes import model_of


async def validate(exchange: Exchange, proceed: Proceed) -> Response:
    """Set `exchange.body`, `.call`, `.model` and `.delivery`.

    Or raise Unavailable, BadRequest, BodyTooLarge, NotFound or Forbidden.
    """
    require_switched_on(await exchange.edge.switches.get(""))
    exchange.delivery = _delivery(exchange)
    exchange.body = await read_body(exchange.request, exchange.edge.settings.max_body_bytes)
    intake = exchange.route.intake
    assert intake is not None  # noqa: S101 (by `check`)
    exchange.call = call = intake.read(exchange.body)
    exchange.model = model = model_of(call, exchange.edge.models)
    exchange.facts.update(model=model.name, stream=bool(call.stream))
    intake.require(call, model, exchange.caller)
    return await proceed()


def _delivery(exchange: Exchange) -> str:
    headers, settings = exchange.request.headers, exchange.edge.settings
    wanted = headers.get("penstock-delivery")
    if wanted is None:
        return settings.delivery if _redirectable(headers) and "origin" not in headers else "relay"
    wanted = wanted.strip().lower()
    if wanted not in ("relay", "direct"):
        raise BadRequest("Penstock-Delivery must be 'relay' or 'direct'.", param="Penstock-Delivery")
    if settings.gpu_public_url is None:
        return "relay"
    if wanted == "direct" and not _redirectable(headers):
        raise BadRequest(
            "Penstock-Delivery: direct needs the key in the Authorization header, and no x-api-key.",
            param="Penstock-Delivery",
        )
    return wanted


def _redirectable(headers: Headers) -> bool:
    """Whether the key stays here: clients drop Authorization on a redirect to another host, but hand x-api-key on."""
    return "authorization" in headers and "x-api-key" not in headers
