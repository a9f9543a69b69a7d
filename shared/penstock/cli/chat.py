"""`penstock chat`: a conversation in the terminal, over the API like any other client."""

import sys
from typing import Annotated

import typer

from penstock.cli.endpoint import DEFAULT_URL, ApiKey, Url, key_for
from penstock.cli.ledgers import Data

_LONGEST_MESSAGE = 4 << 20  # characters; the edge refuses larger bodies


def chat(
    message: Annotated[
        str | None, typer.Argument(help="Ask this one thing. Without it: a conversation, or standard input.")
    ] = None,
    *,
    url: Url = DEFAULT_URL,
    key: ApiKey = None,
    model: Annotated[str | None, typer.Option("--model", help="Default: the first one served.")] = None,
    system: Annotated[str | None, typer.Option("--system", help="Instructions for the model.")] = None,
    data: Data = None,
) -> None:
    """Chat with a served model."""
    from penstock.cli.api import Api  # noqa: PLC0415
    from penstock.cli.conversation import Conversation  # noqa: PLC0415
    from penstock.cli.terminal import ask_once, converse  # noqa: PLC0415

    with Api(url, key_for(url, key, data)) as api:
        conversation = Conversation(api, model or api.first_model(), system)
        if message is None and sys.stdin.isatty() and sys.stdout.isatty():
            converse(conversation, url)
        else:
            ask_once(conversation, message if message is not None else sys.stdin.read(_LONGEST_MESSAGE))
