"""`GET /v1/models` and `GET /v1/models/{model}`: the models that this key may use."""

from datetime import UTC, datetime, time

from starlette.responses import Response

from functions.edge.exchange import Exchange, Route
from functions.edge.policies import POLICIES
from penstock.errors import NotFound
from penstock.models import ServedModel
from penstock.schemas import Model, ModelList


async def _list(exchange: Exchange) -> Response:
    key = exchange.caller.key
    models = [_wire(model) for model in exchange.edge.models.models if key.may_use(model.name)]
    return Response(ModelList(data=models).model_dump_json(), media_type="application/json")


async def _retrieve(exchange: Exchange) -> Response:
    name = exchange.request.path_params["model"]
    model = exchange.edge.models.get(name)
    if model is None or not exchange.caller.key.may_use(model.name):
        raise NotFound(f"The model {name[:128]!r} does not exist.", param="model", code="model_not_found")
    return Response(_wire(model).model_dump_json(), media_type="application/json")


def _wire(model: ServedModel) -> Model:
    created = datetime.combine(model.created, time(), UTC)
    return Model(id=model.name, created=int(created.timestamp()), owned_by=model.owned_by)


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
