"""Which ledger a command works on, and how it is opened."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from penstock.cli.data import DataDirectory
from penstock.cli.failure import Failure
from penstock.ledger import Ledger, check_url, open_ledger

T = TypeVar("T")

DEFAULT_DATA = Path(".penstock")
# The extra that brings what a store needs.
_EXTRAS = {"sqlalchemy": "local", "aiobotocore": "edge", "botocore": "edge"}

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
        help="A ledger elsewhere: sqlite:///PATH or dynamodb://TABLE (else PENSTOCK_LEDGER_URL, without --data).",
    ),
]


def data_directory(data: Path | None) -> DataDirectory:
    """The data directory that the option, the environment or the default names."""
    return DataDirectory(data or Path(os.environ.get("PENSTOCK_DATA") or DEFAULT_DATA))


def on_ledger(data: Path | None, url: str | None, work: Callable[[Ledger], Awaitable[T]]) -> T:
    """Do the work on the ledger that the options name, and close it. An option goes before the environment."""
    return run(_opened(_url(data, url), work))


def named_ledger(url: str | None) -> str:
    """The URL that the option or the environment gives. Raises Failure where neither does."""
    named = url or os.environ.get("PENSTOCK_LEDGER_URL")
    if not named:
        raise Failure("--ledger URL: which one?", exit_code=2)
    return checked_url("--ledger", named)


def checked_url(option: str, url: str) -> str:
    """The URL that an option gave. Raises Failure where it names no ledger."""
    try:
        return check_url(url)
    except ValueError as error:
        raise Failure(f"{option}: {error}", exit_code=2) from error


def run(work: Coroutine[Any, Any, T]) -> T:
    """Do the work with a ledger. Raises Failure where its URL is none, or its library is not installed."""
    try:
        return asyncio.run(work)
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        raise Failure(f"this needs {error.name}: install penstock with its `{extra}` extra") from error


def _url(data: Path | None, url: str | None) -> str:
    elsewhere = url or (os.environ.get("PENSTOCK_LEDGER_URL") if data is None else None)
    if elsewhere:
        return elsewhere
    directory = data_directory(data)
    if not directory.ledger_file.exists():
        raise Failure(f"{directory.path} holds no ledger: start `penstock serve` first, or give --data or --ledger")
    return directory.ledger_url


async def _opened(url: str, work: Callable[[Ledger], Awaitable[T]]) -> T:
    ledger = await open_ledger(checked_url("--ledger", url))
    try:
        return await work(ledger)
    finally:
        await ledger.close()
