"""`penstock usage`: what was used and what it cost, by UTC day, key and model. Costs are exact."""

import csv
import sys
from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any

import typer

from penstock.cli.failure import Failure
from penstock.cli.ledgers import Data, LedgerUrl, on_ledger
from penstock.cli.output import print_json, print_table
from penstock.ledger import Ledger, UsageRow
from penstock.prices import dollars

_COUNTS = ("requests", "prompt_tokens", "cached_prompt_tokens", "completion_tokens")
_COLUMNS = ("day", "account", "key", "model", *_COUNTS, "cost_nano_usd", "cost_usd")


def _day(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not a day such as 2026-01-31") from error


def usage(
    *,
    key: Annotated[str | None, typer.Option("--key", metavar="ID", help="Only this key's.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", parser=_day, metavar="DAY", help="From this UTC day on.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", parser=_day, metavar="DAY", help="Up to this UTC day, included.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV (RFC 4180).")] = False,
    data: Data = None,
    ledger: LedgerUrl = None,
) -> None:
    """Show what was used and what it cost."""
    if as_json and as_csv:
        raise Failure("--json or --csv, not both", exit_code=2)
    if since is not None and until is not None and since > until:
        raise Failure(f"--since {since} is after --until {until}", exit_code=2)

    async def read(opened: Ledger) -> Sequence[UsageRow]:
        if key is not None and await opened.caller(key) is None:
            raise Failure(f"there is no key {key!r}; `penstock keys list` shows them")
        return await opened.usage(key_id=key, since=since or "", until=until or "~")

    found = on_ledger(data, ledger, read)
    rows = [_as_json(row) for row in sorted(found, key=lambda row: (row.day, row.key_id, row.model))]
    if as_json:
        print_json({"object": "usage", "since": since, "until": until, "data": rows, "total": _total(rows)})
    elif as_csv:
        _print_csv(rows)
    else:
        _print_table(rows)


def _as_json(row: UsageRow) -> dict[str, Any]:
    return {
        "day": row.day,
        "account": row.account_id,
        "key": row.key_id,
        "model": row.model,
        "requests": row.requests,
        "prompt_tokens": row.usage.prompt_tokens,
        "cached_prompt_tokens": row.usage.cached_prompt_tokens,
        "completion_tokens": row.usage.completion_tokens,
        "cost_nano_usd": row.nano,
        "cost_usd": dollars(row.nano),
    }


def _total(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    nano = sum(row["cost_nano_usd"] for row in rows)
    counts = {count: sum(row[count] for row in rows) for count in _COUNTS}
    return {**counts, "cost_nano_usd": nano, "cost_usd": dollars(nano)}


def _print_csv(rows: Sequence[dict[str, Any]]) -> None:
    writer = csv.DictWriter(sys.stdout, _COLUMNS, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)


def _print_table(rows: Sequence[dict[str, Any]]) -> None:
    if not rows:
        typer.echo("Nothing was used yet.")
        return
    numbers = ("requests", "prompt", "cached", "completion", "cost")
    print_table(
        ("day", "key", "model", *numbers),
        [(row["day"], row["key"], row["model"], *_figures(row)) for row in rows],
        numbers=numbers,
        total=("total", "", "", *_figures(_total(rows))),
    )


def _figures(row: dict[str, Any]) -> list[str]:
    return [f"{row[count]:,}" for count in _COUNTS] + [f"${row['cost_usd']}"]
