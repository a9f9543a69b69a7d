"""`penstock keys`: who may use the API.

A key is shown when it is made and never again: the ledger stores only a hash of it.
"""

from typing import Annotated, Any

import typer

from penstock.administration import (
    Issued,
    Rotated,
    ScopeChange,
    change_key,
    check_models,
    check_routes,
    issue,
    open_account,
    revoke,
    rotate,
)
from penstock.cli.durations import duration
from penstock.cli.failure import Failure
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
from penstock.keys import ApiKey
from penstock.ledger import ADMIN, Account, Key, Ledger

app = typer.Typer(help="Make, list, change and end API keys.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
KeyId = Annotated[str, typer.Argument(metavar="ID", help="A key's id, as `penstock keys list` shows it.")]


@app.command()
def create(
    *,
    name: Annotated[str, typer.Option("--name", help="What the key is for.")] = "",
    account: Annotated[
        str | None, typer.Option("--account", help="Who pays (else `local`, and `admin` for an admin key).")
    ] = None,
    models: Annotated[str | None, typer.Option("--models", metavar="A,B", help="The only models it may use.")] = None,
    routes: Annotated[
        str | None,
        typer.Option(
            "--routes",
            metavar="A,B",
            help="The only routes it may call: chat, completions, embeddings, files, batches, models, usage.",
        ),
    ] = None,
    admin: Annotated[bool, typer.Option("--admin", help="May call the admin routes, and others only by name.")] = False,
    expires_in: Annotated[
        int | None,
        typer.Option("--expires-in", parser=duration, metavar="SPAN", help="Ends by itself, such as 30d."),
    ] = None,
    requests_per_minute: RequestsPerMinute = None,
    tokens_per_minute: TokensPerMinute = None,
    concurrent: Concurrent = None,
    monthly_budget: MonthlyBudget = None,
    monthly_tokens: MonthlyTokens = None,
    as_json: Json = False,
    data: Data = None,
    ledger: LedgerUrl = None,
) -> None:
    """Make a key, and show it once."""
    limits = limits_change(
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        concurrent=concurrent,
        monthly_budget=monthly_budget,
        monthly_tokens=monthly_tokens,
    )
    scope = _scope(models, routes)
    called = scope.get("routes")
    if admin:
        called = (called or frozenset()) | {ADMIN}

    async def make(opened: Ledger) -> Issued:
        payer = account or (await _admins(opened) if admin else "local")
        return await issue(
            opened,
            payer,
            now=now_ms(),
            name=name,
            limits=new_limits(limits),
            models=scope.get("models"),
            routes=called,
            lifetime=expires_in,
        )

    issued = on_ledger(data, ledger, make)
    _show_new(issued.secret, issued.key, as_json, {})


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
        ("id", "name", "account", "models", "routes", "limits", "created", "state"),
        [
            (
                key.id,
                key.name,
                key.account_id,
                _names(key.models),
                _names(key.routes),
                limits_text(key.limits),
                short_time(key.created_at)[:10],
                _state(key, now),
            )
            for key in keys
        ],
    )


@app.command("set")
def set_key(
    key_id: KeyId,
    *,
    models: Annotated[
        str | None, typer.Option("--models", metavar="A,B", help="The only models it may use, or `all`.")
    ] = None,
    routes: Annotated[
        str | None, typer.Option("--routes", metavar="A,B", help="The only routes it may call, or `all` but admin.")
    ] = None,
    requests_per_minute: RequestsPerMinute = None,
    tokens_per_minute: TokensPerMinute = None,
    concurrent: Concurrent = None,
    monthly_budget: MonthlyBudget = None,
    monthly_tokens: MonthlyTokens = None,
    data: Data = None,
    ledger: LedgerUrl = None,
) -> None:
    """Change the limits and the scope that are given; the rest stays."""
    limits = limits_change(
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        concurrent=concurrent,
        monthly_budget=monthly_budget,
        monthly_tokens=monthly_tokens,
    )
    scope = _scope(models, routes)
    key = on_ledger(data, ledger, lambda opened: change_key(opened, key_id, limits, scope))
    typer.echo(
        f"{key.id}: models: {_names(key.models)}; routes: {_names(key.routes)}; limits: {limits_text(key.limits)}"
    )


@app.command("rotate")
def rotate_key(
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
    now = now_ms()
    done: Rotated = on_ledger(data, ledger, lambda opened: rotate(opened, key_id, grace=grace, now=now))
    _show_new(done.secret, done.key, as_json, {"replaces": _as_json(done.old, now)})
    if not as_json:
        typer.echo(f"The old key, {done.old.id}, works until {iso_time(done.old.expires_at)}.")


@app.command("revoke")
def revoke_key(key_id: KeyId, *, data: Data = None, ledger: LedgerUrl = None) -> None:
    """End a key at once."""
    key = on_ledger(data, ledger, lambda opened: revoke(opened, key_id, now=now_ms()))
    typer.echo(f"The key {key.id} was revoked at {iso_time(key.revoked_at)}.")


def _scope(models: str | None, routes: str | None) -> ScopeChange:
    """The parts of a scope that were given; `all` is none. Raises Failure, or Invalid."""
    change = ScopeChange()
    if models is not None:
        change["models"] = _listed("--models", models)
        check_models(change["models"])
    if routes is not None:
        change["routes"] = _listed("--routes", routes)
        check_routes(change["routes"])
    return change


def _listed(option: str, text: str) -> frozenset[str] | None:
    names = frozenset(name.strip() for name in text.split(","))
    if "" in names:
        raise Failure(f"{option}: names separated by commas, or `all`", exit_code=2)
    return None if names == {"all"} else names


async def _admins(ledger: Ledger) -> str:
    """The account of the admin keys, made where there is none."""
    if await ledger.account(ADMIN) is None:
        await open_account(ledger, Account(ADMIN, "Administration", now_ms()))
    return ADMIN


def _names(scope: frozenset[str] | None) -> str:
    return "all" if scope is None else ", ".join(sorted(scope))


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
        "routes": None if key.routes is None else sorted(key.routes),
        "limits": limits_json(key.limits),
        "created_at": iso_time(key.created_at),
        "expires_at": iso_time(key.expires_at),
        "revoked_at": iso_time(key.revoked_at),
        "usable": key.usable(now),
    }
