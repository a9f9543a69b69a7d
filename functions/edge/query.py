"""A request's query: read into a model, strictly, and described from that same model."""

from typing import Any, TypeVar

from pydantic import BaseModel
from starlette.requests import Request

from penstock.errors import BadRequest
from penstock.schemas.reading import read

M = TypeVar("M", bound=BaseModel)


def read_query(request: Request, kind: type[M]) -> M:
    """The query as the model. Raises BadRequest that names what is wrong, unknown, or there twice."""
    given: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name in given:
            raise BadRequest(f"{name[:64]}: is given twice.", param=name[:64], code="invalid_value")
        given[name] = value
    return read(kind, given)


def query_parameters(kind: type[BaseModel]) -> list[dict[str, Any]]:
    """The model's fields as OpenAPI describes a query; a list is one parameter, separated by commas."""
    return [_parameter(name, dict(schema)) for name, schema in kind.model_json_schema()["properties"].items()]


def _parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    described = {"name": name, "in": "query", "description": schema.pop("description", "")}
    schema.pop("title", None)
    one = schema.get("anyOf", [schema])[0]  # in a query there is no null: it is absent
    listed = {"style": "form", "explode": False} if one.get("type") == "array" else {}
    return {**described, "schema": one, **listed}


def path_parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """A part of the path, as OpenAPI describes it."""
    return {"name": name, "in": "path", "required": True, "schema": schema}


FILE_ID = path_parameter("id", {"type": "string", "pattern": "^file-[0-9A-Za-z]{1,64}$"})
BATCH_ID = path_parameter("id", {"type": "string", "pattern": "^batch_[0-9A-Za-z]{1,64}$"})
