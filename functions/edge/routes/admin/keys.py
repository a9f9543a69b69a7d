"""`/admin/v1/keys`: who may call. A new key is in the answer that made it, and nowhere else."""

from dataclasses import replace

from starlette.responses import Response

from functions.edge.exchange import Exchange
from functions.edge.query import read_query
from functions.edge.routes.admin.resource import admin_route, answer_with, page_of, read_json
from penstock.administration import change_key, found_account, found_key, issue, revoke, rotate
from penstock.clock import SECOND, now_ms
from penstock.errors import BadRequest, Conflict
from penstock.ledger import ADMIN, Key, Limits
from penstock.schemas.admin import (
    KeyChange,
    KeyPage,
    KeyReport,
    KeyRequest,
    KeysQuery,
    NewKey,
    RotatedKey,
    RotateRequest,
)


async def _list(exchange: Exchange) -> Response:
    query, ledger = read_query(exchange.request, KeysQuery), await exchange.edge.ledger()
    if query.account is not None:
        await found_account(ledger, query.account)
    page, ends = page_of(await ledger.keys(query.account), query, query.after)
    return answer_with(KeyPage(data=[KeyReport.of(key) for key in page], **ends))


async def _create(exchange: Exchange) -> Response:
    asked, ledger = await read_json(exchange, KeyRequest), await exchange.edge.ledger()
    issued = await issue(
        ledger,
        asked.account,
        now=now_ms(),
        name=asked.name,
        limits=replace(Limits(), **asked.limits.change()),
        models=_served(exchange, asked.scope().get("models")),
        routes=asked.scope().get("routes"),
        lifetime=None if asked.expires_in_s is None else asked.expires_in_s * SECOND,
    )
    exchange.facts.update(subject=issued.key.id)
    return answer_with(NewKey.of(issued.key, key=issued.secret.reveal()), secret=True)


async def _retrieve(exchange: Exchange) -> Response:
    return _answered(exchange, await found_key(await exchange.edge.ledger(), _id(exchange)))


async def _change(exchange: Exchange) -> Response:
    asked, ledger = await read_json(exchange, KeyChange), await exchange.edge.ledger()
    scope = asked.scope()
    if "routes" in scope and ADMIN not in (scope["routes"] or ()):
        _not_itself(exchange, "taking `admin` from its routes")
    if "models" in scope:
        scope["models"] = _served(exchange, scope["models"])
    return _answered(exchange, await change_key(ledger, _id(exchange), asked.limits.change(), scope))


async def _rotate(exchange: Exchange) -> Response:
    asked, ledger = await read_json(exchange, RotateRequest), await exchange.edge.ledger()
    rotated = await rotate(ledger, _id(exchange), grace=asked.grace_s * SECOND, now=now_ms())
    exchange.facts.update(subject=rotated.old.id, made=rotated.key.id)
    exchange.edge.callers.forget(rotated.old.id)
    replaces = KeyReport.of(rotated.old)
    return answer_with(RotatedKey.of(rotated.key, key=rotated.secret.reveal(), replaces=replaces), secret=True)


async def _revoke(exchange: Exchange) -> Response:
    _not_itself(exchange, "revoking it")
    return _answered(exchange, await revoke(await exchange.edge.ledger(), _id(exchange), now=now_ms()))


def _not_itself(exchange: Exchange, what: str) -> None:
    """An admin who ended his own key by mistake could not take it back."""
    if _id(exchange) == exchange.caller.key.id:
        raise Conflict(f"This is the key that calls: {what} would lock you out. Use another admin key for that.")


def _served(exchange: Exchange, models: frozenset[str] | None) -> frozenset[str] | None:
    """The models by their names in the table, where the caller may have used aliases. Raises BadRequest."""
    if models is None:
        return None
    found = {name: exchange.edge.models.get(name) for name in models}
    unknown = sorted(name for name, model in found.items() if model is None)
    if unknown:
        raise BadRequest(f"models: there is no model {unknown[0]!r}.", param="models", code="model_not_found")
    return frozenset(model.name for model in found.values() if model is not None)


def _id(exchange: Exchange) -> str:
    return str(exchange.request.path_params["id"])


def _answered(exchange: Exchange, key: Key) -> Response:
    exchange.facts.update(subject=key.id)
    exchange.edge.callers.forget(key.id)
    return answer_with(KeyReport.of(key))


LIST = admin_route("GET", "/keys", _list, "The keys, oldest first.", KeyPage, query=KeysQuery)
CREATE = admin_route("POST", "/keys", _create, "Make a key; it is shown this once.", NewKey, body=KeyRequest)
RETRIEVE = admin_route("GET", "/keys/{id}", _retrieve, "One key.", KeyReport)
CHANGE = admin_route("PATCH", "/keys/{id}", _change, "Change a key's limits or scope.", KeyReport, body=KeyChange)
ROTATE = admin_route(
    "POST", "/keys/{id}/rotate", _rotate, "Make a key in place of another.", RotatedKey, body=RotateRequest
)
REVOKE = admin_route("POST", "/keys/{id}/revoke", _revoke, "End a key at once.", KeyReport)
