"""`penstock keys`: who may use the API.

A key is shown when it is made and never again: the ledger stores only a hash of it.
"""

from dataclasses import replace
from typing import Annotated, Any

import typer

from penstock.cli.durations import duration
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
from penstock.keys import ApiKey, mint
from penstock.ledger import Key, Ledger, Limits

app = typer.Typer(help="Make, list and end API keys.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
KeyId = Annotated[str, typer.Argument(metavar="ID", help="A key's id, as `penstock keys list` shows it.")]


@app.command()
def create(
    *,
    name: Annotated[str, typer.Option("--name", help="What the key is for.")] = "",
    account: Annotated[str, typer.Option("--account", help="Who pays.")] = "local",
    models: Annotated[str | None, typer.Option("--models", metavar="A,B", help="The only models it may use.")] = None,
    expires_in: Annotated[
        int | None,
        typer.Option("--expires-in", parser=duration, metavar="SPAN", help="Ends by itself, such as 30d."),
    ] = None,
    requests_per_minute: RequestsPerMinute = None,
    tokens_per_minute: TokensPerMinute = None,
    concurrent: Concurrent = None,
    monthly_budget: MonthlyBudget = None,
    as_json: Json = False,
    data: Data = None,
    ledger: LedgerUrl = None,
) -> None:
    """Make a key, and show it once."""
    secret, now = mint(), now_ms()
    key = Key(
        id=secret.id,
        account_id=account,
        name=name,
        digest=secret.digest(),
        created_at=now,
        expires_at=None if expires_in is None else now + expires_in,
        models=_scope(models),
        limits=limits_with(
            Limits(),
            requests_per_minute=requests_per_minute,
            tokens_per_minute=tokens_per_minute,
            concurrent=concurrent,
            monthly_budget=monthly_budget,
        ),
    )
    on_ledger(data, ledger, lambda opened: _add(opened, key))
    _show_new(secret, key, as_json, {})


@app.command("list")
def list_keys(
    *,
    account: Annotated[str | None, typer.Option("--account", help="Only this account's.")] = None,
    as_json: Json = False,
    data: Data = None,
    ledger: LedgerUrl = None,
) -> None:
    """List the keys, oldest first."""
    keys = on_ledger(data, ledger, lambda opened: opened.keys(account))
    now = now_ms()
    if as_json:
        print_json({"keys": [_as_json(key, now) for key in keys]})
        return
    print_table(
        ("id", "name", "account", "models", "limits", "created", "state"),
        [
            (
                key.id,
                key.name,
                key.account_id,
                ", ".join(sorted(key.models)) if key.models is not None else "all",
                limits_text(key.limits),
                short_time(key.created_at)[:10],
                _state(key, now),
            )
            for key in keys
        ],
    )


@app.command()
def rotate(
    key_id: KeyId,
    *,
    grace: Annotated[
        int, typer.Option("--grace", parser=duration, metavar="SPAN", help="How long the old one still works.")
    ] = "24h",  # type: ignore[assignment]  # typer gives the default to the parser
    as_json: Json = False,
    data: Data = None,
    ledger: LedgerUrl = None,
) -> None:
    """Make a key with the scope, limits and lifetime of another, which ends after the grace."""

    secret, now = mint(), now_ms()

    async def swap(opened: Ledger) -> tuple[Key, Key]:
        old = await _found(opened, key_id)
        if not old.usable(now):
            raise Failure(f"the key {key_id} has ended: make a new one with `penstock keys create`")
        lifetime = None if old.expires_at is None else old.expires_at - old.created_at
        new = replace(
            old,
            id=secret.id,
            digest=secret.digest(),
            created_at=now,
            expires_at=None if lifetime is None else now + lifetime,
        )
        await _add(opened, new)
        return new, await opened.expire_key(key_id, now + grace)

    new, old = on_ledger(data, ledger, swap)
    _show_new(secret, new, as_json, {"replaces": _as_json(old, now)})
    if not as_json:
        typer.echo(f"The old key, {old.id}, works until {iso_time(old.expires_at)}.")


@app.command()
def revoke(key_id: KeyId, *, data: Data = None, ledger: LedgerUrl = None) -> None:
    """End a key at once."""

    async def end(opened: Ledger) -> Key:
        await _found(opened, key_id)
        return await opened.revoke_key(key_id, now_ms())

    key = on_ledger(data, ledger, end)
    typer.echo(f"The key {key.id} was revoked at {iso_time(key.revoked_at)}.")


def _scope(models: str | None) -> frozenset[str] | None:
    if models is None:
        return None
    names = frozenset(name.strip() for name in models.split(","))
    if "" in names:
        raise Failure("--models: names of models, separated by commas", exit_code=2)
    return names


async def _add(ledger: Ledger, key: Key) -> None:
    try:
        await ledger.create_key(key)
    except KeyError as error:
        raise Failure(f"there is no account {key.account_id!r}; `penstock accounts list` shows them") from error


async def _found(ledger: Ledger, key_id: str) -> Key:
    caller = await ledger.caller(key_id)
    if caller is None:
        raise Failure(f"there is no key {key_id!r}; `penstock keys list` shows them")
    return caller.key


def _state(key: Key, now: int) -> str:
    if key.revoked_at is not None:
        return f"revoked {short_time(key.revoked_at)}"
    if key.expires_at is None:
        return "active"
    return f"{'active until' if key.usable(now) else 'expired'} {short_time(key.expires_at)}"


def _show_new(secret: ApiKey, key: Key, as_json: bool, more: dict[str, Any]) -> None:
    if as_json:
        print_json({"key": secret.reveal(), **_as_json(key, key.created_at), **more})
        return
    typer.echo(secret.reveal())
    typer.echo("This is the only time the key is shown.", err=True)


def _as_json(key: Key, now: int) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "account": key.account_id,
        "models": None if key.models is None else sorted(key.models),
        "limits": limits_json(key.limits),
        "created_at": iso_time(key.created_at),
        "expires_at": iso_time(key.expires_at),
        "revoked_at": iso_time(key.revoked_at),
        "usable": key.usable(now),
    }
