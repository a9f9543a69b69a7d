"""`penstock usage`: what was used and what it cost, by UTC day, key, model and account. Costs are exact."""

import sys
from collections.abc import Sequence
from datetime import date
from typing import Annotated

import typer

from penstock.administration import found_account, found_key
from penstock.cli.failure import Failure
from penstock.cli.ledgers import Data, LedgerUrl, on_ledger
from penstock.cli.output import print_json, print_table
from penstock.ledger import Ledger, UsageRow
from penstock.prices import dollars
from penstock.reports import COUNTS, GROUPS, Line, csv_text, grouped, total

_TABLE = ("day", "key", "model")  # unless told otherwise: a key has one account


def _day(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not a day such as 2026-01-31") from error


def usage(
    *,
    key: Annotated[str | None, typer.Option("--key", metavar="ID", help="Only this key's.")] = None,
    account: Annotated[str | None, typer.Option("--account", metavar="ID", help="Only this account's.")] = None,
    model: Annotated[str | None, typer.Option("--model", metavar="NAME", help="Only this model's.")] = None,
    by: Annotated[
        str | None, typer.Option("--by", metavar="A,B", help="Added up by any of day, account, key, model.")
    ] = None,
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
    groups = _groups(by) or (GROUPS if as_json or as_csv else _TABLE)
    rows = on_ledger(data, ledger, lambda opened: _read(opened, account, key, since or "", until or "~"))
    lines, whole = grouped(rows, groups, model), total(rows, model)
    if as_json:
        listed = [line.as_json() for line in lines]
        print_json({"object": "usage", "since": since, "until": until, "data": listed, "total": whole.as_json()})
    elif as_csv:
        sys.stdout.write(csv_text(lines, groups))
    else:
        _print_table(lines, whole, groups)


def _groups(by: str | None) -> tuple[str, ...]:
    names = {name.strip() for name in by.split(",")} if by is not None else set()
    if not names <= set(GROUPS):
        raise Failure(f"--by: one or more of {', '.join(GROUPS)}", exit_code=2)
    return tuple(name for name in GROUPS if name in names)


async def _read(ledger: Ledger, account: str | None, key: str | None, since: str, until: str) -> Sequence[UsageRow]:
    if account is not None:
        await found_account(ledger, account)
    if key is not None:
        # A store finds an account's usage sooner than a key's among everybody's.
        account = account or (await found_key(ledger, key)).account_id
    return await ledger.usage(account_id=account, key_id=key, since=since, until=until)


def _print_table(lines: Sequence[Line], whole: Line, groups: Sequence[str]) -> None:
    if not lines:
        typer.echo("Nothing was used yet.")
        return
    numbers = ("requests", "prompt", "cached", "completion", "cost")
    print_table(
        (*groups, *numbers),
        [(*dict(line.group).values(), *_figures(line)) for line in lines],
        numbers=numbers,
        total=("total", *[""] * (len(groups) - 1), *_figures(whole)),
    )


def _figures(line: Line) -> list[str]:
    counts = line.as_json()
    return [f"{counts[count]:,}" for count in COUNTS] + [f"${dollars(line.nano)}"]
