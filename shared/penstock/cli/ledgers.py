"""Which ledger a command works on, and how it is opened."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from penstock.cli.data import DataDirectory
from penstock.cli.failure import Failure
from penstock.ledger import Ledger, open_ledger

T = TypeVar("T")

DEFAULT_DATA = Path(".penstock")

Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help=f"The data directory of `penstock serve` (else PENSTOCK_DATA, else {DEFAULT_DATA}).",
    ),
]
LedgerUrl = Annotated[
    str | None,
    typer.Option(
        "--ledger",
        metavar="URL",
        help="A ledger elsewhere, such as sqlite:///PATH (else PENSTOCK_LEDGER_URL, unless --data is given).",
    ),
]


def data_directory(data: Path | None) -> DataDirectory:
    """The data directory that the option, the environment or the default names."""
    return DataDirectory(data or Path(os.environ.get("PENSTOCK_DATA") or DEFAULT_DATA))


def on_ledger(data: Path | None, url: str | None, work: Callable[[Ledger], Awaitable[T]]) -> T:
    """Do the work on the ledger that the options name, and close it. An option goes before the environment."""
    return asyncio.run(_opened(_url(data, url), work))


def _url(data: Path | None, url: str | None) -> str:
    elsewhere = url or (os.environ.get("PENSTOCK_LEDGER_URL") if data is None else None)
    if elsewhere:
        return elsewhere
    directory = data_directory(data)
    if not directory.ledger_file.exists():
        raise Failure(f"{directory.path} holds no ledger: start `penstock serve` first, or give --data or --ledger")
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
