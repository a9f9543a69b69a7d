"""`penstock serve`: the edge, the GPU process and the ledger on this machine, as the cloud runs them."""

from typing import Annotated

import typer

from penstock.cli.failure import Failure
from penstock.cli.ledgers import Data, data_directory


def serve(
    *,
    host: Annotated[str, typer.Option("--host", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="The port; 0 picks a free one.")] = 8000,
    data: Data = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="NAME|FOLDER|ORG/NAME[@REVISION]",
            help="A model of penstock.toml (default: its first), a folder, or a repository of the hub.",
        ),
    ] = None,
    ledger: Annotated[
        str | None,
        typer.Option(
            "--ledger",
            metavar="URL",
            help="A ledger elsewhere, such as dynamodb://TABLE; made where there is none.",
        ),
    ] = None,
) -> None:
    """Serve a model on this machine: edge, GPU process and ledger, until Ctrl-C."""
    from penstock.cli.serving.session import Session  # noqa: PLC0415
    from penstock.ledger import check_url  # noqa: PLC0415

    try:
        url = None if ledger is None else check_url(ledger)
    except ValueError as error:
        raise Failure(f"--ledger: {error}", exit_code=2) from error

    directory = data_directory(data)
    with directory.owned():
        code = Session.prepare(directory, host, port, model=model, ledger_url=url).run()
    raise typer.Exit(code)
