"""`GET /admin/v1/usage`: what everybody used, added up as asked for, as JSON or CSV."""

from starlette.responses import Response

from functions.edge.exchange import Exchange
from functions.edge.query import read_query
from functions.edge.routes.admin.resource import admin_route
from functions.edge.routes.usage import csv_answer
from penstock.administration import found_account, found_key
from penstock.clock import day_of, now_ms
from penstock.schemas.report import AdminUsageQuery, AdminUsageReport
from penstock.statement import report_of


async def _usage(exchange: Exchange) -> Response:
    query, ledger = read_query(exchange.request, AdminUsageQuery), await exchange.edge.ledger()
    since, until = query.days(day_of(now_ms()))
    account = query.account
    if account is not None:
        await found_account(ledger, account)
    if query.key is not None:
        # A store finds an account's usage sooner than a key's among everybody's.
        account = account or (await found_key(ledger, query.key)).account_id
    rows = await ledger.usage(account_id=account, key_id=query.key, since=since, until=until)
    if query.format == "csv":
        return csv_answer(rows, query)
    report = AdminUsageReport(since=since, until=until, **report_of(rows, query))
    return Response(report.model_dump_json(), media_type="application/json")


USAGE = admin_route(
    "GET",
    "/usage",
    _usage,
    "What was used, by day, account, key and model.",
    AdminUsageReport,
    query=AdminUsageQuery,
    responses={"content": {"text/csv": {}}},
)
