"""`penstock ledger`: the store itself. Made, checked, cleared of dead leases, and taken into use after a restore."""

from typing import Annotated, Any

import typer

from penstock.cli.failure import Failure
from penstock.cli.ledgers import Data, LedgerUrl, checked_url, named_ledger, on_ledger, run
from penstock.cli.output import print_json
from penstock.clock import now_ms
from penstock.ledger import Audit, Ledger, create_ledger
from penstock.prices import dollars

app = typer.Typer(help="Make, check and tidy the ledger.", no_args_is_help=True)


@app.command()
def create(*, ledger: LedgerUrl = None) -> None:
    """Make the ledger that --ledger names, where there is none."""
    url = named_ledger(ledger)

    async def work() -> None:
        opened = await create_ledger(url)
        await opened.close()

    run(work())
    typer.echo(f"{url} is there.")


@app.command()
def verify(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    data: Data = None,
    ledger: LedgerUrl = None,
) -> None:
    """Compare everything that is kept twice. The exit code is 1 where something does not add up."""
    audit = on_ledger(data, ledger, lambda opened: opened.audit(now_ms()))
    if as_json:
        print_json(_as_json(audit))
    else:
        _print(audit)
    if audit.findings:
        raise typer.Exit(1)


@app.command()
def expire(*, data: Data = None, ledger: LedgerUrl = None) -> None:
    """Close the leases of requests that died, each at its last checkpoint. For a schedule; safe to run twice."""

    async def work(opened: Ledger) -> int:
        now, closed = now_ms(), 0
        while ids := await opened.expire(now):
            closed += len(ids)
        return closed

    closed = on_ledger(data, ledger, work)
    typer.echo(f"{closed} {'lease was' if closed == 1 else 'leases were'} closed.")


@app.command()
def adopt(
    *,
    revocations_from: Annotated[
        str | None,
        typer.Option("--revocations-from", metavar="URL", help="The table before the restore: dynamodb://OLD."),
    ] = None,
    revoke_all: Annotated[
        bool, typer.Option("--revoke-all", help="Revoke every key: the table before the restore is gone.")
    ] = False,
    ledger: LedgerUrl = None,
) -> None:
    """Take a restored table into use, once its revoked keys are revoked again."""
    if (revocations_from is None) != revoke_all:
        raise Failure("--revocations-from dynamodb://OLD or --revoke-all: one of them", exit_code=2)
    table = _table("--ledger", named_ledger(ledger))
    old = None if revocations_from is None else _table("--revocations-from", revocations_from)
    if old == table:
        raise Failure("--revocations-from: names the restored table itself", exit_code=2)

    async def work() -> int:
        from penstock.ledger.dynamodb import adopt as adopt_table  # noqa: PLC0415 (needs aiobotocore)

        return await adopt_table(table, revocations_from=old, revoke_all=revoke_all)

    revoked = run(work())
    typer.echo(f"{table} is in use; {revoked} {'key was' if revoked == 1 else 'keys were'} revoked in it.")


def _table(option: str, url: str) -> str:
    scheme, _, table = checked_url(option, url).partition("://")
    if scheme != "dynamodb":
        raise Failure(f"{option}: only a table of DynamoDB is restored so: dynamodb://TABLE", exit_code=2)
    return table


def _print(audit: Audit) -> None:
    counts = (
        _counted(audit.accounts, "account"),
        _counted(audit.leases, "live lease"),
        f"{_counted(audit.records, 'record')} of ${dollars(audit.nano)}",
        f"{_counted(audit.rows, 'row')} of usage",
    )
    typer.echo(f"{', '.join(counts)}.")
    for finding in audit.findings:
        typer.echo(f"{finding.kind} {finding.subject}: {finding.message}")
    typer.echo(f"{_counted(len(audit.findings), 'finding')}." if audit.findings else "Everything adds up.")


def _counted(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def _as_json(audit: Audit) -> dict[str, Any]:
    return {
        "accounts": audit.accounts,
        "leases": audit.leases,
        "records": audit.records,
        "rows": audit.rows,
        "cost_nano_usd": audit.nano,
        "cost_usd": dollars(audit.nano),
        "findings": [
            {"kind": finding.kind, "subject": finding.subject, "message": finding.message} for finding in audit.findings
        ],
    }
