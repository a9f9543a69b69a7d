"""`penstock chat`: a conversation in the terminal, over the API like any other client."""

import sys
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from penstock.cli.failure import Failure
from penstock.cli.ledgers import Data, data_directory

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_LONGEST_MESSAGE = 4 << 20  # characters; the edge refuses larger bodies


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        whole = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        whole = False
    if not whole:
        raise typer.BadParameter(f"{text!r} is not a URL such as http://127.0.0.1:8000/v1")
    return text


def chat(
    message: Annotated[
        str | None, typer.Argument(help="Ask this one thing. Without it: a conversation, or standard input.")
    ] = None,
    *,
    url: Annotated[
        str, typer.Option("--url", parser=_url, metavar="URL", help="The API.")
    ] = "http://127.0.0.1:8000/v1",
    key: Annotated[
        str | None,
        typer.Option("--key", envvar="PENSTOCK_API_KEY", help="Default: the one `penstock serve` kept."),
    ] = None,
    model: Annotated[str | None, typer.Option("--model", help="Default: the first one served.")] = None,
    system: Annotated[str | None, typer.Option("--system", help="Instructions for the model.")] = None,
    data: Data = None,
) -> None:
    """Chat with a served model."""
    from penstock.cli.api import Api  # noqa: PLC0415
    from penstock.cli.conversation import Conversation  # noqa: PLC0415
    from penstock.cli.terminal import ask_once, converse  # noqa: PLC0415

    local = urlsplit(url).hostname in _LOOPBACK
    with Api(url, key or _kept_key(data, local)) as api:
        conversation = Conversation(api, model or api.first_model(), system)
        if message is None and sys.stdin.isatty() and sys.stdout.isatty():
            converse(conversation, url)
        else:
            ask_once(conversation, message if message is not None else sys.stdin.read(_LONGEST_MESSAGE))


def _kept_key(data: Path | None, local: bool) -> str:
    """The key that `penstock serve` kept. It is sent to this machine only, never to another's URL."""
    kept = data_directory(data).kept_key() if local else None
    if kept is None:
        raise Failure("no key: give --key, or set PENSTOCK_API_KEY (`penstock keys create` makes one)")
    return kept
