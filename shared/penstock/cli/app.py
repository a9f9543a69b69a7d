"""The commands, and what becomes of an error: one line on standard error, never a traceback.

Each command imports what it needs when it runs, so that `penstock --help` is quick.
"""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.exceptions import TyperException

from penstock import __version__
from penstock.cli import accounts, batch, chat, deploy, files, keys, ledger, serve, switch, usage, weights
from penstock.cli.failure import Failure

app = typer.Typer(
    name="penstock",
    help="An OpenAI-compatible inference API of one's own.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # they would show the values of variables, keys among them
)
app.command()(serve.serve)
app.command()(chat.chat)
app.command()(usage.usage)
app.command()(switch.switch)
app.add_typer(batch.app, name="batch")
app.add_typer(files.app, name="files")
app.add_typer(keys.app, name="keys")
app.add_typer(accounts.app, name="accounts")
app.add_typer(ledger.app, name="ledger")
app.add_typer(weights.app, name="weights")
app.add_typer(deploy.app, name="deploy")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"penstock {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; its exit code: 0 done, 1 failed, 2 called wrongly, 130 interrupted."""
    try:
        code = app(args=arguments, prog_name="penstock", standalone_mode=False)
    except typer.Abort:
        return 130
    except Exception as error:
        line, code = _explained(error)
        if line:  # a command group without a command has printed its help
            sys.stderr.write(f"penstock: {line}\n")
    return code if isinstance(code, int) else 0


def _explained(error: Exception) -> tuple[str, int]:
    """An expected error's one line and exit code. An unexpected one is a defect: it is raised."""
    from penstock.administration import AdministrationError, Invalid  # noqa: PLC0415
    from penstock.ledger.records import LedgerUnavailable  # noqa: PLC0415 (not for a command that succeeds)
    from penstock.models import ConfigError  # noqa: PLC0415

    if isinstance(error, Failure):
        return str(error), error.exit_code
    if isinstance(error, TyperException):
        return " ".join(error.format_message().split()), error.exit_code
    if isinstance(error, Invalid):
        return f"{error.field}: {error}", 2
    if isinstance(error, AdministrationError):
        return str(error), 1
    if isinstance(error, LedgerUnavailable):
        return f"the ledger is not available: {error}", 1
    if isinstance(error, ConfigError | OSError):
        return str(error), 1
    raise error
