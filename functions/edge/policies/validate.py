"""Validate: is this a request that we can honour, for a model that this key may use?"""

from starlette.requests import Request
from starlette.responses import Response

from functions.edge.exchange import Exchange, Proceed
from penstock.errors import BadRequest, BodyTooLarge, Forbidden, NotFound
from penstock.schemas import read_chat_request

_DIGITS = 18  # of a length; Python itself refuses to read a number of thousands of them


async def validate(exchange: Exchange, proceed: Proceed) -> Response:
    """Set `exchange.body`, `.call` and `.model`, or raise BadRequest, BodyTooLarge, NotFound or Forbidden."""
    _require_json(exchange.request)
    exchange.body = await _read_body(exchange.request, exchange.edge.settings.max_body_bytes)
    exchange.call = call = read_chat_request(exchange.body)
    model = exchange.edge.models.get(call.model)
    if model is None:
        raise NotFound(f"The model {call.model!r} does not exist.", param="model", code="model_not_found")
    exchange.facts.update(model=model.name, stream=bool(call.stream))
    if not exchange.caller.key.may_use(model.name):
        raise Forbidden(f"This API key may not use the model {model.name!r}.", param="model")
    if call.limit is not None and call.limit >= model.context_length:
        raise BadRequest(
            f"{call.limit_param}: {call.limit} tokens leave no room for a prompt; {model.name!r} has a context "
            f"of {model.context_length} tokens.",
            param=call.limit_param,
            code="context_length_exceeded",
        )
    exchange.model = model
    return await proceed()


def _require_json(request: Request) -> None:
    content_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if content_type != "application/json":
        raise BadRequest("The Content-Type must be application/json.", code="invalid_content_type")


async def _read_body(request: Request, limit: int) -> bytes:
    """The body, never more of it in memory than the limit and one chunk."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and (len(declared) > _DIGITS or int(declared) > limit):
        raise _too_large(limit)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise _too_large(limit)
    return bytes(body)


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"The body is over the limit of {limit} bytes.")
