"""`GET /v1/models` and `GET /v1/models/{model}`: the models that this key may use."""

from starlette.responses import Response

from functions.edge.exchange import Exchange, Route
from functions.edge.policies import POLICIES
from penstock.catalogue import offer, offered
from penstock.schemas import Model, ModelList


async def _list(exchange: Exchange) -> Response:
    models = offered(exchange.edge.models, exchange.caller.key)
    return Response(models.model_dump_json(), media_type="application/json")


async def _retrieve(exchange: Exchange) -> Response:
    model = offer(exchange.edge.models, exchange.caller.key, exchange.request.path_params["model"])
    return Response(model.model_dump_json(), media_type="application/json")


LIST = Route(
    "GET",
    "/v1/models",
    _list,
    group="models",
    policies=POLICIES[:1],
    summary="The models that this key may use.",
    responses={200: {"model": ModelList}},
)
RETRIEVE = Route(
    "GET",
    "/v1/models/{model:path}",
    _retrieve,
    group="models",
    policies=POLICIES[:1],
    summary="One model, by name or alias.",
    openapi={"parameters": [{"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}]},
    responses={200: {"model": Model}},
)
