"""The models that a key may use, as `GET /v1/models` tells of them. The edge and the direct path ask here."""

from datetime import UTC, datetime, time

from penstock.errors import NotFound
from penstock.ledger.records import Key
from penstock.models import ModelTable, ServedModel
from penstock.schemas.model import Model, ModelList


def offered(models: ModelTable, key: Key) -> ModelList:
    """All that this key may use."""
    return ModelList(data=[_wire(model) for model in models.models if key.may_use(model.name)])


def offer(models: ModelTable, key: Key, name: str) -> Model:
    """One of them, by name or alias. Raises NotFound."""
    model = models.get(name)
    if model is None or not key.may_use(model.name):
        raise NotFound(f"The model {name[:128]!r} does not exist.", param="model", code="model_not_found")
    return _wire(model)


def _wire(model: ServedModel) -> Model:
    created = datetime.combine(model.created, time(), UTC)
    return Model(id=model.name, created=int(created.timestamp()), owned_by=model.owned_by)
