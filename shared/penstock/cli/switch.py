"""`penstock switch`: stops everybody at once, without a deployment, and lets them go on."""

from typing import Annotated

import typer

from penstock.administration import set_switch
from penstock.cli.failure import Failure
from penstock.cli.ledgers import Data, LedgerUrl, on_ledger
from penstock.cli.output import iso_time
from penstock.clock import now_ms
from penstock.ledger import Ledger, Switch


def switch(
    state: Annotated[
        str | None, typer.Argument(metavar="[on|off]", help="What to set; without it, it is shown.")
    ] = None,
    *,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Told to the callers while it is off.")] = "",
    data: Data = None,
    ledger: LedgerUrl = None,
) -> None:
    """Show the switch over everybody, or set it. Off, no key opens anything that spends."""
    if state not in (None, "on", "off"):
        raise Failure(f"{state!r} is neither on nor off", exit_code=2)
    if state is None and reason:
        raise Failure("--reason goes with on or off", exit_code=2)

    async def work(opened: Ledger) -> Switch:
        return await (opened.switch() if state is None else set_switch(opened, state == "on", reason, now=now_ms()))

    now = on_ledger(data, ledger, work)
    since = f" since {iso_time(now.changed_at)}" if now.changed_at else ""
    typer.echo(f"{'on' if now.on else 'off'}{since}{f': {now.reason}' if now.reason else ''}")
