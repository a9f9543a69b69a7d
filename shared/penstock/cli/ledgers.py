"""Which ledger a command works on, and how it is opened."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from penstock.cli.failure import Failure
from penstock.ledger import Ledger, open_ledger

T = TypeVar("T")

Data = Annotated[Path, typer.Option("--data", envvar="PENSTOCK_DATA", help="The data directory of `penstock serve`.")]
LedgerUrl = Annotated[
    str | None,
    typer.Option(
        "--ledger",
        envvar="PENSTOCK_LEDGER_URL",
        help="A ledger elsewhere, such as sqlite:///PATH; it goes before --data.",
    ),
]
DEFAULT_DATA = Path(".penstock")


def on_ledger(data: Path, url: str | None, work: Callable[[Ledger], Awaitable[T]]) -> T:
    """Do the work on the ledger that the options name, and close it."""
    return asyncio.run(_opened(url or _local(data), work))


def _local(data: Path) -> str:
    from penstock.cli.data import DataDirectory  # noqa: PLC0415

    directory = DataDirectory(data)
    if not directory.ledger_file.exists():
        raise Failure(f"{data} holds no ledger: start `penstock serve` first, or give --data or --ledger")
    return directory.ledger_url


async def _opened(url: str, work: Callable[[Ledger], Awaitable[T]]) -> T:
    try:
        ledger = await open_ledger(url)
    except ModuleNotFoundError as error:
        raise Failure(f"this needs {error.name}: install penstock with its `local` extra") from error
    except ValueError as error:
        raise Failure(f"--ledger: {error}") from error
    try:
        return await work(ledger)
    finally:
        await ledger.close()
