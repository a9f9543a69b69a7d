"""`penstock accounts`: who pays, and how much at most. An account's limits hold for all its keys together."""

from typing import Annotated

import typer

from penstock.administration import change_account, check_account, open_account
from penstock.cli.ledgers import Data, LedgerUrl, on_ledger
from penstock.cli.limits import (
    Concurrent,
    MonthlyBudget,
    MonthlyTokens,
    RequestsPerMinute,
    TokensPerMinute,
    limits_change,
    limits_json,
    limits_text,
    new_limits,
)
from penstock.cli.output import iso_time, print_json, print_table, short_time
from penstock.clock import now_ms
from penstock.ledger import Account

app = typer.Typer(help="Make accounts, and set their limits.", no_args_is_help=True)

AccountId = Annotated[str, typer.Argument(metavar="ID", help="The account's id.")]
KeepAnswers = Annotated[
    bool | None,
    typer.Option("--keep-answers/--no-keep-answers", help="Whether answers are stored for their Idempotency-Key."),
]


@app.command()
def create(
    account_id: AccountId,
    *,
    name: Annotated[str, typer.Option("--name", help="Whose it is.")] = "",
    requests_per_minute: RequestsPerMinute = None,
    tokens_per_minute: TokensPerMinute = None,
    concurrent: Concurrent = None,
    monthly_budget: MonthlyBudget = None,
    monthly_tokens: MonthlyTokens = None,
    keep_answers: KeepAnswers = None,
    data: Data = None,
    ledger: LedgerUrl = None,
) -> None:
    """Make an account, without limits where none are given."""
    limits = limits_change(
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        concurrent=concurrent,
        monthly_budget=monthly_budget,
        monthly_tokens=monthly_tokens,
    )
    account = check_account(
        Account(
            id=account_id,
            name=name or account_id,
            created_at=now_ms(),
            limits=new_limits(limits),
            keep_answers=keep_answers is not False,
        )
    )
    on_ledger(data, ledger, lambda opened: open_account(opened, account))
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
                _state(account),
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
    monthly_tokens: MonthlyTokens = None,
    enabled: Annotated[bool | None, typer.Option("--enable/--disable", help="Whether its keys open anything.")] = None,
    keep_answers: KeepAnswers = None,
    data: Data = None,
    ledger: LedgerUrl = None,
) -> None:
    """Change what is given; the rest stays."""
    limits = limits_change(
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        concurrent=concurrent,
        monthly_budget=monthly_budget,
        monthly_tokens=monthly_tokens,
    )
    account = on_ledger(
        data,
        ledger,
        lambda opened: change_account(opened, account_id, limits, enabled=enabled, keep_answers=keep_answers),
    )
    typer.echo(f"{account.id}: {_state(account)}; limits: {limits_text(account.limits)}")


def _state(account: Account) -> str:
    return ("enabled" if account.enabled else "disabled") + ("" if account.keep_answers else ", keeps no answers")


def _as_json(account: Account) -> dict[str, object]:
    return {
        "id": account.id,
        "name": account.name,
        "enabled": account.enabled,
        "keep_answers": account.keep_answers,
        "limits": limits_json(account.limits),
        "created_at": iso_time(account.created_at),
    }
