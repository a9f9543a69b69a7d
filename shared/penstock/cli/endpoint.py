"""Which API a command calls, with which key, and what becomes of its errors: one line each."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from penstock.cli.failure import Failure
from penstock.cli.ledgers import data_directory

if TYPE_CHECKING:
    from penstock.client import Penstock

DEFAULT_URL = "http://127.0.0.1:8000/v1"
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def _checked(text: str) -> str:
    try:
        parts = urlsplit(text)
        whole = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        whole = False
    if not whole:
        raise typer.BadParameter(f"{text!r} is not a URL such as {DEFAULT_URL}")
    return text


Url = Annotated[str, typer.Option("--url", parser=_checked, envvar="PENSTOCK_BASE_URL", metavar="URL", help="The API.")]
ApiKey = Annotated[
    str | None,
    typer.Option("--key", envvar="PENSTOCK_API_KEY", help="Default: the one `penstock serve` kept."),
]


def key_for(url: str, key: str | None, data: Path | None) -> str:
    """The key that was given, or that `penstock serve` kept: that is sent to this machine only. Raises Failure."""
    local = urlsplit(url).hostname in _LOOPBACK
    found = key or (data_directory(data).kept_key() if local else None)
    if found is None:
        raise Failure("no key: give --key, or set PENSTOCK_API_KEY (`penstock keys create` makes one)")
    return found


@contextmanager
def calling(url: str, key: str | None, data: Path | None) -> "Iterator[Penstock]":
    """A client of the API. Every error becomes a Failure of one line."""
    from penstock.cli.api_failures import api_failures  # noqa: PLC0415 (the client takes its time to import)
    from penstock.client import Penstock  # noqa: PLC0415

    with api_failures(url), Penstock(url, key_for(url, key, data)) as client:
        yield client
