"""`penstock accounts`: who pays, and how much at most. An account's limits hold for all its keys together."""

from typing import Annotated

import typer

from penstock.cli.failure import Failure
from penstock.cli.ledgers import Data, LedgerUrl, on_ledger
from penstock.cli.limits import (
    Concurrent,
    MonthlyBudget,
    RequestsPerMinute,
    TokensPerMinute,
    limits_json,
    limits_text,
    limits_with,
)
from penstock.cli.output import iso_time, print_json, print_table, short_time
from penstock.clock import now_ms
from penstock.ledger import Account, Ledger

app = typer.Typer(help="Make accounts, and set their limits.", no_args_is_help=True)

AccountId = Annotated[str, typer.Argument(metavar="ID", help="The account's id.")]


@app.command()
def create(
    account_id: AccountId,
    *,
    name: Annotated[str, typer.Option("--name", help="Whose it is.")] = "",
    data: Data = None,
    ledger: LedgerUrl = None,
) -> None:
    """Make an account without limits."""
    if not 0 < len(account_id) <= 64 or not account_id.replace("-", "").replace("_", "").isalnum():
        raise Failure("an account's id has up to 64 letters, digits, - and _", exit_code=2)
    account = Account(account_id, name or account_id, now_ms())

    async def add(opened: Ledger) -> None:
        try:
            await opened.create_account(account)
        except ValueError as error:
            raise Failure(f"there is an account {account_id!r} already") from error

    on_ledger(data, ledger, add)
    typer.echo(f"The account {account_id} was made.")


@app.command("list")
def list_accounts(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    data: Data = None,
    ledger: LedgerUrl = None,
) -> None:
    """List the accounts, oldest first."""
    accounts = on_ledger(data, ledger, lambda opened: opened.accounts())
    if as_json:
        print_json({"accounts": [_as_json(account) for account in accounts]})
        return
    print_table(
        ("id", "name", "limits", "created", "state"),
        [
            (
                account.id,
                account.name,
                limits_text(account.limits),
                short_time(account.created_at)[:10],
                "enabled" if account.enabled else "disabled",
            )
            for account in accounts
        ],
    )


@app.command("set")
def set_account(
    account_id: AccountId,
    *,
    requests_per_minute: RequestsPerMinute = None,
    tokens_per_minute: TokensPerMinute = None,
    concurrent: Concurrent = None,
    monthly_budget: MonthlyBudget = None,
    enabled: Annotated[bool | None, typer.Option("--enable/--disable", help="Whether its keys open anything.")] = None,
    data: Data = None,
    ledger: LedgerUrl = None,
) -> None:
    """Change the limits that are given; the others stay."""

    async def change(opened: Ledger) -> Account:
        found = [account for account in await opened.accounts() if account.id == account_id]
        if not found:
            raise Failure(f"there is no account {account_id!r}; `penstock accounts list` shows them")
        limits = limits_with(
            found[0].limits,
            requests_per_minute=requests_per_minute,
            tokens_per_minute=tokens_per_minute,
            concurrent=concurrent,
            monthly_budget=monthly_budget,
        )
        on = found[0].enabled if enabled is None else enabled
        return await opened.set_account(account_id, enabled=on, limits=limits)

    account = on_ledger(data, ledger, change)
    state = "enabled" if account.enabled else "disabled"
    typer.echo(f"{account.id}: {state}; limits: {limits_text(account.limits)}")


def _as_json(account: Account) -> dict[str, object]:
    return {
        "id": account.id,
        "name": account.name,
        "enabled": account.enabled,
        "limits": limits_json(account.limits),
        "created_at": iso_time(account.created_at),
    }
