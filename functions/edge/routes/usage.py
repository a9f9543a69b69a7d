"""`GET /v1/usage`: what the calling key or its account used, the key's limits, and what remains of them."""

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import Response

from functions.edge.exchange import Exchange, Route
from functions.edge.policies import POLICIES
from functions.edge.query import query_parameters, read_query
from penstock.clock import day_of, now_ms
from penstock.errors import BadRequest
from penstock.ledger import Standing, UsageRow
from penstock.prices import dollars
from penstock.reports import csv_text, grouped, total
from penstock.schemas.report import AdminUsageQuery, LimitReport, UsageQuery, UsageReport, UsageReportRow

MAX_LINES = 10_000  # of one report: some three megabytes, which Lambda can still answer with


async def _usage(exchange: Exchange) -> Response:
    now, caller, query = now_ms(), exchange.caller, read_query(exchange.request, UsageQuery)
    since, until = query.days(day_of(now))
    ledger = await exchange.edge.ledger()
    key_id = caller.key.id if query.of == "key" else None
    rows = await ledger.usage(account_id=caller.account.id, key_id=key_id, since=since, until=until)
    if query.format == "csv":
        return csv_answer(rows, query)
    report = UsageReport(
        account=caller.account.id,
        key=key_id,
        since=since,
        until=until,
        limits={name.value: _limit(standing) for name, standing in (await ledger.standings(caller, now)).items()},
        **report_of(rows, query),
    )
    return Response(report.model_dump_json(), media_type="application/json")


def report_of(rows: Sequence[UsageRow], query: UsageQuery | AdminUsageQuery) -> Mapping[str, Any]:
    """The fields that every report has: its lines, and what they come to. Raises BadRequest for too many lines."""
    lines, whole = grouped(rows, query.group_by, query.model), total(rows, query.model)
    _check_size(len(lines))
    return {
        "group_by": query.group_by,
        "data": [UsageReportRow(**line.as_json()) for line in lines],
        "total_requests": whole.requests,
        "total_cost_nano_usd": whole.nano,
        "total_cost_usd": dollars(whole.nano),
    }


def csv_answer(rows: Sequence[UsageRow], query: UsageQuery | AdminUsageQuery) -> Response:
    """The report's lines alone, as in RFC 4180. Raises BadRequest for too many lines."""
    lines = grouped(rows, query.group_by, query.model)
    _check_size(len(lines))
    headers = {"Content-Disposition": 'attachment; filename="usage.csv"'}
    return Response(csv_text(lines, query.group_by), headers=headers, media_type="text/csv")


def _check_size(lines: int) -> None:
    if lines > MAX_LINES:
        raise BadRequest(
            f"The report would have {lines:,} lines, more than {MAX_LINES:,}: ask for fewer days, or group by less.",
            param="group_by",
            code="report_too_large",
        )


def _limit(standing: Standing) -> LimitReport:
    return LimitReport(
        limit=standing.limit, spent=standing.spent, reserved=standing.reserved, remaining=standing.remaining
    )


USAGE = Route(
    "GET",
    "/v1/usage",
    _usage,
    policies=POLICIES[:1],
    group="usage",
    summary="What this key, or its account, used; its limits, and what remains.",
    openapi={"parameters": query_parameters(UsageQuery)},
    responses={200: {"model": UsageReport, "content": {"text/csv": {}}}},
)
