"""`GET /v1/usage`: what the calling key or its account used, the key's limits, and what remains of them."""

from collections.abc import Sequence

from starlette.responses import Response

from functions.edge.exchange import Exchange, Route
from functions.edge.policies import POLICIES
from functions.edge.query import read_query
from penstock.clock import now_ms
from penstock.ledger import UsageRow
from penstock.reports import csv_text, grouped
from penstock.schemas.report import AdminUsageQuery, UsageQuery, UsageReport
from penstock.statement import check_size, rows_of, statement


async def _usage(exchange: Exchange) -> Response:
    now, caller, query = now_ms(), exchange.caller, read_query(exchange.request, UsageQuery)
    ledger = await exchange.edge.ledger()
    if query.format == "csv":
        return csv_answer(await rows_of(ledger, caller, query, now), query)
    report = await statement(ledger, caller, query, now)
    return Response(report.model_dump_json(), media_type="application/json")


def csv_answer(rows: Sequence[UsageRow], query: UsageQuery | AdminUsageQuery) -> Response:
    """The report's lines alone, as in RFC 4180. Raises BadRequest for too many lines."""
    lines = grouped(rows, query.group_by, query.model)
    check_size(len(lines))
    headers = {"Content-Disposition": 'attachment; filename="usage.csv"'}
    return Response(csv_text(lines, query.group_by), headers=headers, media_type="text/csv")


USAGE = Route(
    "GET",
    "/v1/usage",
    _usage,
    policies=POLICIES[:1],
    group="usage",
    summary="What this key, or its account, used; its limits, and what remains.",
    query=UsageQuery,
    responses={200: {"model": UsageReport, "content": {"text/csv": {}}}},
)
