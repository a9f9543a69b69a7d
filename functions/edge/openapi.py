"""The edge's OpenAPI description, from its routes and the schemas that it really reads."""

import re
from collections.abc import Mapping
from typing import Any, Literal

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.responses import Response

from functions.edge.exchange import Route
from functions.edge.query import query_parameters
from penstock import __version__
from penstock.schemas import (
    ChatCompletion,
    ChatRequest,
    Completion,
    CompletionRequest,
    EmbeddingList,
    EmbeddingRequest,
    Model,
    ModelList,
    UsageReport,
)
from penstock.schemas.admin import (
    AccountChange,
    AccountPage,
    AccountReport,
    AccountRequest,
    KeyChange,
    KeyPage,
    KeyReport,
    KeyRequest,
    NewKey,
    RotatedKey,
    RotateRequest,
    SwitchReport,
    SwitchRequest,
)
from penstock.schemas.batch import Batch, BatchPage, BatchRequest
from penstock.schemas.file import FileDeleted, FileObject, FilePage, FileRequest
from penstock.schemas.report import AdminUsageReport

_REQUESTS = (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    FileRequest,
    BatchRequest,
    AccountRequest,
    AccountChange,
    KeyRequest,
    KeyChange,
    RotateRequest,
    SwitchRequest,
)
_REPLIES = (
    ChatCompletion,
    Completion,
    EmbeddingList,
    Model,
    ModelList,
    UsageReport,
    FileDeleted,
    FileObject,
    FilePage,
    Batch,
    BatchPage,
    AccountPage,
    AccountReport,
    KeyPage,
    KeyReport,
    NewKey,
    RotatedKey,
    SwitchReport,
    AdminUsageReport,
)

_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}
_KEYS: dict[str, Any] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "Authorization: Bearer ps_..."},
    "header": {"type": "apiKey", "in": "header", "name": "x-api-key"},
}


def describe(route: Route) -> dict[str, Any]:
    """What FastAPI is to say of a route."""
    extra = dict(route.openapi)
    if route.policies:
        extra["security"] = [{name: []} for name in _KEYS]
    error = {"description": "An error", "content": {"application/json": {"schema": {"$ref": _ref("Error")}}}}
    return {
        "summary": route.summary,
        "operation_id": re.sub(r"[^a-z0-9]+", "_", f"{route.method} {route.path}".lower()).strip("_"),
        "responses": {**{status: _reply(said) for status, said in route.responses.items()}, "4XX": error, "5XX": error},
        "openapi_extra": extra,
        "response_model": None,
        "response_class": Response,  # of no media type: each route says its own
    }


def _reply(said: Mapping[str, Any]) -> dict[str, Any]:
    """An answer by its model's name, not as FastAPI's `model`: of each it would build a validator at every start."""
    if "model" not in said:
        return dict(said)
    schema = {"schema": {"$ref": _ref(said["model"].__name__)}}
    return {"description": "Successful Response", "content": {"application/json": schema, **said.get("content", {})}}


def request_body(kind: type[BaseModel]) -> dict[str, Any]:
    """What a route says of its body; `kind` is one of those that the description holds."""
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": _ref(kind.__name__)}}},
        }
    }


def document(app: FastAPI) -> dict[str, Any]:
    """The whole description, as OpenAPI 3.1. Made once: it takes some milliseconds, and anybody may ask for it."""
    if app.openapi_schema is None:
        app.openapi_schema = _made(app)
    return app.openapi_schema


def _made(app: FastAPI) -> dict[str, Any]:
    openapi = get_openapi(
        title="Penstock",
        version=__version__,
        summary="An OpenAI-compatible inference API of one's own.",
        routes=app.routes,
    )
    kinds: list[tuple[type[BaseModel], Literal["validation", "serialization"]]] = []
    kinds += ((kind, "validation") for kind in _REQUESTS)
    kinds += ((kind, "serialization") for kind in _REPLIES)
    _, schemas = models_json_schema(kinds, ref_template=_ref("{model}"))
    components = openapi.setdefault("components", {})
    components.setdefault("schemas", {}).update(schemas["$defs"], Error=_ERROR)
    components["securitySchemes"] = _KEYS
    for route in app.state.routes:
        if route.query is not None:  # described here and not with its route: no start has a need of it
            operation = openapi["paths"][route.path][route.method.lower()]
            operation["parameters"] = [*operation.get("parameters", ()), *query_parameters(route.query)]
    return openapi


def _ref(name: str) -> str:
    return f"#/components/schemas/{name}"
