"""`GET /v1/usage`: what the calling key used, its limits, and what remains of them."""

import re
from datetime import date

from starlette.responses import Response

from functions.edge.exchange import Exchange, Route
from functions.edge.policies import POLICIES
from penstock.clock import day_of, month_of, now_ms
from penstock.errors import BadRequest
from penstock.ledger import Standing, UsageRow
from penstock.prices import dollars
from penstock.schemas.report import LimitReport, UsageReport, UsageReportRow

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


async def _usage(exchange: Exchange) -> Response:
    now, ledger, caller = now_ms(), await exchange.edge.ledger(), exchange.caller
    since, until = _day(exchange, "since", f"{month_of(now)}-01"), _day(exchange, "until", day_of(now))
    rows = await ledger.usage(key_id=caller.key.id, since=since, until=until)
    total = sum(row.nano for row in rows)
    report = UsageReport(
        account=caller.account.id,
        key=caller.key.id,
        since=since,
        until=until,
        limits={name.value: _limit(standing) for name, standing in (await ledger.standings(caller, now)).items()},
        data=[_row(row) for row in rows],
        total_cost_nano_usd=total,
        total_cost_usd=dollars(total),
    )
    return Response(report.model_dump_json(), media_type="application/json")


def _day(exchange: Exchange, name: str, default: str) -> str:
    value = exchange.request.query_params.get(name, default)
    try:
        if not _DAY.fullmatch(value):
            raise ValueError
        return date.fromisoformat(value).isoformat()
    except ValueError:
        raise BadRequest(f"{name} must be a day, as YYYY-MM-DD.", param=name, code="invalid_value") from None


def _limit(standing: Standing) -> LimitReport:
    return LimitReport(
        limit=standing.limit, spent=standing.spent, reserved=standing.reserved, remaining=standing.remaining
    )


def _row(row: UsageRow) -> UsageReportRow:
    return UsageReportRow(
        day=row.day,
        model=row.model,
        requests=row.requests,
        prompt_tokens=row.usage.prompt_tokens,
        cached_prompt_tokens=row.usage.cached_prompt_tokens,
        completion_tokens=row.usage.completion_tokens,
        cost_nano_usd=row.nano,
        cost_usd=dollars(row.nano),
    )


def _query(name: str, meaning: str) -> dict[str, object]:
    return {
        "name": name,
        "in": "query",
        "description": meaning,
        "schema": {"type": "string", "format": "date"},
    }


USAGE = Route(
    "GET",
    "/v1/usage",
    _usage,
    policies=POLICIES[:1],
    summary="This key's usage by model and day, its limits, and what remains.",
    openapi={
        "parameters": [
            _query("since", "The first UTC day; without it, the first of this month."),
            _query("until", "The last UTC day; without it, today."),
        ]
    },
    responses={200: {"model": UsageReport}},
)
