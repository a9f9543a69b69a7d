"""`/admin/v1/accounts`: who pays, and how much at most. An account's limits hold for all its keys together."""

from dataclasses import replace

from starlette.responses import Response

from functions.edge.exchange import Exchange
from functions.edge.query import read_query
from functions.edge.routes.admin.resource import admin_route, answer_with, page_of, read_json
from penstock.administration import change_account, found_account, open_account
from penstock.clock import now_ms
from penstock.errors import Conflict
from penstock.ledger import Account, Limits
from penstock.schemas.admin import AccountChange, AccountPage, AccountReport, AccountRequest, AccountsQuery


async def _list(exchange: Exchange) -> Response:
    query, ledger = read_query(exchange.request, AccountsQuery), await exchange.edge.ledger()
    page, ends = page_of(await ledger.accounts(), query, query.after)
    return answer_with(AccountPage(data=[AccountReport.of(account) for account in page], **ends))


async def _create(exchange: Exchange) -> Response:
    asked, ledger = await read_json(exchange, AccountRequest), await exchange.edge.ledger()
    account = Account(
        id=asked.id,
        name=asked.name or asked.id,
        created_at=now_ms(),
        enabled=asked.enabled,
        limits=replace(Limits(), **asked.limits.change()),
        keep_answers=asked.keep_answers,
    )
    return _answered(exchange, await open_account(ledger, account))


async def _retrieve(exchange: Exchange) -> Response:
    return _answered(exchange, await found_account(await exchange.edge.ledger(), _id(exchange)))


async def _change(exchange: Exchange) -> Response:
    asked, ledger = await read_json(exchange, AccountChange), await exchange.edge.ledger()
    if asked.enabled is False and _id(exchange) == exchange.caller.account.id:
        raise Conflict("This account is that of the key which calls: switching it off would lock you out.")
    account = await change_account(
        ledger, _id(exchange), asked.limits.change(), enabled=asked.enabled, keep_answers=asked.keep_answers
    )
    return _answered(exchange, account)


def _id(exchange: Exchange) -> str:
    return str(exchange.request.path_params["id"])


def _answered(exchange: Exchange, account: Account) -> Response:
    exchange.facts.update(subject=account.id)
    return answer_with(AccountReport.of(account))


LIST = admin_route("GET", "/accounts", _list, "The accounts, oldest first.", AccountPage, query=AccountsQuery)
CREATE = admin_route("POST", "/accounts", _create, "Make an account.", AccountReport, body=AccountRequest)
RETRIEVE = admin_route("GET", "/accounts/{id}", _retrieve, "One account.", AccountReport)
CHANGE = admin_route(
    "PATCH", "/accounts/{id}", _change, "Change an account's limits or switch.", AccountReport, body=AccountChange
)
