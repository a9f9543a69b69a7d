"""A caller's statement: what it used, its limits, and what remains of them, as `GET /v1/usage` tells it."""

from collections.abc import Mapping, Sequence
from typing import Any

from penstock.clock import day_of
from penstock.errors import BadRequest
from penstock.ledger.protocol import Ledger
from penstock.ledger.records import Caller, Standing, UsageRow
from penstock.prices import dollars
from penstock.reports import grouped, total
from penstock.schemas.report import AdminUsageQuery, LimitReport, UsageQuery, UsageReport, UsageReportRow

MAX_LINES = 10_000  # of one report: some three megabytes, which Lambda can still answer with


async def statement(ledger: Ledger, caller: Caller, query: UsageQuery, now: int) -> UsageReport:
    """The calling key's, or its account's. Raises BadRequest, LedgerUnavailable."""
    since, until = query.days(day_of(now))
    rows = await rows_of(ledger, caller, query, now)
    standings = await ledger.standings(caller, now)
    return UsageReport(
        account=caller.account.id,
        key=_key(caller, query),
        since=since,
        until=until,
        limits={name.value: _limit(standing) for name, standing in standings.items()},
        **report_of(rows, query),
    )


async def rows_of(ledger: Ledger, caller: Caller, query: UsageQuery, now: int) -> Sequence[UsageRow]:
    """What the statement adds up. Raises BadRequest, LedgerUnavailable."""
    since, until = query.days(day_of(now))
    return await ledger.usage(account_id=caller.account.id, key_id=_key(caller, query), since=since, until=until)


def report_of(rows: Sequence[UsageRow], query: UsageQuery | AdminUsageQuery) -> Mapping[str, Any]:
    """The fields that every report has: its lines, and what they come to. Raises BadRequest for too many lines."""
    lines, whole = grouped(rows, query.group_by, query.model), total(rows, query.model)
    check_size(len(lines))
    return {
        "group_by": query.group_by,
        "data": [UsageReportRow(**line.as_json()) for line in lines],
        "total_requests": whole.requests,
        "total_cost_nano_usd": whole.nano,
        "total_cost_usd": dollars(whole.nano),
    }


def check_size(lines: int) -> None:
    """Raises BadRequest for a report of too many lines."""
    if lines > MAX_LINES:
        raise BadRequest(
            f"The report would have {lines:,} lines, more than {MAX_LINES:,}: ask for fewer days, or group by less.",
            param="group_by",
            code="report_too_large",
        )


def _key(caller: Caller, query: UsageQuery) -> str | None:
    return caller.key.id if query.of == "key" else None


def _limit(standing: Standing) -> LimitReport:
    return LimitReport(
        limit=standing.limit, spent=standing.spent, reserved=standing.reserved, remaining=standing.remaining
    )
