"""Validate: is anybody served now, and is this a request that we can honour, for a model that this key may use?"""

from starlette.responses import Response

from functions.edge.body import read_body
from functions.edge.exchange import Exchange, Proceed
from penstock.errors import BadRequest, Forbidden, NotFound, Unavailable
from penstock.models import ServedModel

OFF_FOR = 60  # seconds, after which to ask again


async def validate(exchange: Exchange, proceed: Proceed) -> Response:
    """Set `exchange.body`, `.call`, `.model` and `.delivery`.

    Or raise Unavailable, BadRequest, BodyTooLarge, NotFound or Forbidden.
    """
    await _require_switched_on(exchange)
    exchange.delivery = _delivery(exchange)
    exchange.body = await read_body(exchange.request, exchange.edge.settings.max_body_bytes)
    intake = exchange.route.intake
    assert intake is not None  # noqa: S101 (by `check`)
    exchange.call = call = intake.read(exchange.body)
    exchange.model = model = _model(exchange, call.model)
    exchange.facts.update(model=model.name, stream=bool(call.stream))
    if not exchange.caller.key.may_use(model.name):
        raise Forbidden(f"This API key may not use the model {model.name!r}.", param="model")
    if not intake.served(model):
        raise NotFound(
            f"The model {model.name!r} is not served at {exchange.route.path}.",
            param="model",
            code="model_not_supported",
        )
    call.require_fit(model)
    return await proceed()


def _model(exchange: Exchange, name: str) -> ServedModel:
    model = exchange.edge.models.get(name)
    if model is None:
        raise NotFound(f"The model {name!r} does not exist.", param="model", code="model_not_found")
    return model


async def _require_switched_on(exchange: Exchange) -> None:
    """The switch over everybody, which an operator may turn off."""
    switch = await exchange.edge.switches.get("")
    if not switch.on:
        reason = f": {switch.reason}" if switch.reason else "."
        raise Unavailable(f"The service is switched off{reason}", retry_after=OFF_FOR, code="service_off")


def _delivery(exchange: Exchange) -> str:
    headers = exchange.request.headers
    wanted = headers.get("penstock-delivery", "relay").strip().lower()
    if wanted not in ("relay", "direct"):
        raise BadRequest("Penstock-Delivery must be 'relay' or 'direct'.", param="Penstock-Delivery")
    if exchange.edge.settings.gpu_public_url is None:
        return "relay"
    if wanted == "direct" and ("authorization" not in headers or "x-api-key" in headers):
        # Clients drop Authorization on a redirect to another host, but would hand x-api-key on.
        raise BadRequest(
            "Penstock-Delivery: direct needs the key in the Authorization header, and no x-api-key.",
            param="Penstock-Delivery",
        )
    return wanted
