"""What the admin routes have in common: how a route is made, a body is read, an answer and a refusal are written."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel
from starlette.responses import Response

from functions.edge.body import read_body
from functions.edge.exchange import Answer, Exchange, Route
from functions.edge.openapi import request_body
from functions.edge.policies import POLICIES
from functions.edge.query import path_parameter
from penstock.administration import AccountExists, AdministrationError, Invalid, KeyEnded, NoSuchAccount, NoSuchKey
from penstock.errors import ApiError, BadRequest, Conflict, NotFound
from penstock.ledger import ADMIN
from penstock.schemas.admin import PageQuery
from penstock.schemas.reading import json_object, read

MAX_BODY = 64 << 10  # bytes
_ID = {"type": "string", "minLength": 1, "maxLength": 64}

M = TypeVar("M", bound=BaseModel)


class _Identified(Protocol):
    @property
    def id(self) -> str: ...


R = TypeVar("R", bound=_Identified)


def admin_route(
    method: str,
    path: str,
    answer: Answer,
    summary: str,
    reply: type[BaseModel],
    *,
    body: type[BaseModel] | None = None,
    query: type[BaseModel] | None = None,
    responses: Mapping[str, Any] | None = None,
) -> Route:
    """A route of `/admin/v1`; `body`, `query` and `reply` are its models, `responses` what else a 200 may be."""
    parameters = [path_parameter("id", _ID)] if "{id}" in path else []
    return Route(
        method,
        f"/admin/v1{path}",
        answer,
        policies=POLICIES[:1],
        group=ADMIN,
        summary=summary,
        query=query,
        openapi={"parameters": parameters, **(request_body(body) if body else {})},
        responses={200: {"model": reply, **(responses or {})}},
    )


async def read_json(exchange: Exchange, kind: type[M]) -> M:
    """The body as the model. Raises BadRequest that names what is wrong, or BodyTooLarge."""
    return read(kind, json_object(await read_body(exchange.request, MAX_BODY)))


def answer_with(reply: BaseModel, *, secret: bool = False) -> Response:
    """The reply as JSON; a secret one is kept by nothing on the way."""
    headers = {"Cache-Control": "no-store"} if secret else {}
    return Response(reply.model_dump_json(), headers=headers, media_type="application/json")


def page_of(records: Sequence[R], query: PageQuery, after: str | None) -> tuple[Sequence[R], dict[str, Any]]:
    """The page of the records that is asked for, and what the answer says of it. Raises BadRequest."""
    begin = 0
    if after is not None:
        places = [place for place, record in enumerate(records) if record.id == after]
        if not places:
            raise BadRequest(f"after: the list has no {after!r}.", param="after", code="invalid_value")
        begin = places[0] + 1
    page = records[begin : begin + query.limit]
    ends = {"first_id": page[0].id if page else None, "last_id": page[-1].id if page else None}
    return page, {**ends, "has_more": begin + len(page) < len(records)}


def api_error(error: AdministrationError) -> ApiError:
    """The refusal as callers see it."""
    message = f"{str(error)[:1].upper()}{str(error)[1:]}."
    if isinstance(error, Invalid):
        return BadRequest(f"{error.field}: {error}.", param=error.field, code="invalid_value")
    if isinstance(error, NoSuchAccount):
        return NotFound(message, param="account", code="account_not_found")
    if isinstance(error, NoSuchKey):
        return NotFound(message, param="key", code="key_not_found")
    assert isinstance(error, AccountExists | KeyEnded)  # noqa: S101 (there are no others)
    return Conflict(message, code="already_exists" if isinstance(error, AccountExists) else "key_ended")
