"""A conversation on a terminal: a prompt, an answer as it comes, until Ctrl-D or `/exit`."""

import sys
from collections.abc import Iterator
from contextlib import closing
from itertools import chain

from rich.console import Console
from rich.text import Text

from penstock.cli.api import Ended
from penstock.cli.conversation import Conversation
from penstock.cli.failure import Failure

# Ours to use; an answer's own could move the cursor or set the window's title.
_CONTROLS = dict.fromkeys([*range(9), *range(11, 32), *range(127, 160)])
# To readline, what stands between \001 and \002 has no width.
_PROMPT = "\001\033[1;36m\002> \001\033[0m\002"


def converse(conversation: Conversation, url: str) -> None:
    """Talk until the user leaves. An error is said in one line, and the conversation goes on."""
    import readline  # noqa: F401, PLC0415 (gives `input` its line editing and history)

    console = Console(highlight=False)
    hint = f" on {url} · Ctrl-C stops an answer, Ctrl-D leaves"
    console.print(Text(conversation.model, style="bold") + Text(hint, style="dim not bold"))
    warned = False
    for question in _questions(console):
        _answer(conversation, question, console)
        if conversation.forgetful and not warned:
            warned = True
            console.print("[dim](The context is full: the oldest turns are no longer sent.)[/]")


def ask_once(conversation: Conversation, question: str) -> None:
    """Ask one thing and print the answer, nothing else, on standard output. Raises Failure."""
    if not question.strip():
        raise Failure("nothing to ask: give a message, or text on standard input", exit_code=2)
    for part in conversation.ask(question):
        if isinstance(part, str):
            _write(part)
        elif part.reason == "length":
            sys.stderr.write("\npenstock: the answer was cut at the length limit\n")
    _write("\n")


def _questions(console: Console) -> Iterator[str]:
    while True:
        try:
            question = input(_PROMPT).strip()
        except KeyboardInterrupt:
            console.print("\n[dim]Ctrl-D or /exit leaves.[/]")
            continue
        except EOFError:
            console.print()
            return
        if question == "/exit":
            return
        if question:
            yield question


def _answer(conversation: Conversation, question: str, console: Console) -> None:
    try:
        with closing(conversation.ask(question)) as parts:
            with console.status(""):
                first = next(parts)
            for part in chain([first], parts):
                if isinstance(part, str):
                    _write(part)
                else:
                    _close(part, console)
    except KeyboardInterrupt:
        console.print("\n[dim](stopped)[/]")
    except Failure as failure:
        console.print(Text(str(failure), style="red"))


def _close(end: Ended, console: Console) -> None:
    cut = " · cut at the length limit" if end.reason == "length" else ""
    console.print(f"\n[dim]{end.prompt_tokens} + {end.completion_tokens} tokens{cut}[/]")


def _write(text: str) -> None:
    sys.stdout.write(text.translate(_CONTROLS))
    sys.stdout.flush()
