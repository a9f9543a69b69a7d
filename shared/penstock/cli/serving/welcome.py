"""What `penstock serve` prints when it is ready: where it is, the key, and what to paste.

What is pasted stands at the left edge, unwrapped and without a frame.
"""

import json
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from penstock.cli.data import DataDirectory
from penstock.cli.ledgers import DEFAULT_DATA
from penstock.cli.serving.first_key import FirstKey
from penstock.cli.serving.model import Choice

DEFAULT_URL = "http://127.0.0.1:8000/v1"
_QUESTION = "What is Penstock?"
_MESSAGE = f'{{"role": "user", "content": "{_QUESTION}"}}'
_MESSAGES = f'"messages": [{_MESSAGE}]'


@dataclass(frozen=True, slots=True)
class Welcome:
    """The facts that are printed."""

    url: str  # ends in /v1
    choice: Choice
    key: FirstKey
    data: DataDirectory
    ledger_url: str

    def show(self, console: Console) -> None:
        """Print it."""
        console.print()
        for label, fact in self._facts():
            console.print(Text(f"{label:<8}", style="bold") + fact, soft_wrap=True)
        for title, language, code in (
            ("Ask it something:", "bash", self._curl()),
            ("Or from Python (pip install openai):", "python", self._python()),
        ):
            console.print(Text(f"\n{title}\n", style="bold"))
            console.print(_coloured(code, language), soft_wrap=True, end="")
        console.print()
        console.print(self._commands(), soft_wrap=True)
        console.print(Text("Ctrl-C stops everything.", style="dim"))

    def _facts(self) -> list[tuple[str, Text]]:
        name = self.choice.model.name
        facts = [
            ("URL", Text(self.url, style="cyan")),
            ("Model", Text(name) + Text("" if self.choice.listed else _FREE_OF_CHARGE, style="yellow")),
        ]
        file = short_path(self.data.key_file)
        make = f"{_penstock()} keys create{self._ledger_option()}"
        if self.key.new is not None:
            facts.append(("Key", Text(self.key.new, style="green")))
            facts.append(("", Text(f"shown this once, and kept in {file} (readable by you alone)", style="dim")))
        elif self.key.kept:
            facts.append(("Key", Text(f"the first one is kept in {file}; another: {make}", style="dim")))
        else:
            facts.append(("Key", Text(f"keys exist, none is kept here; another: {make}", style="dim")))
        return facts

    def _curl(self) -> str:
        key = self.key.new or (f"$(cat {shlex.quote(short_path(self.data.key_file))})" if self.key.kept else _UNKNOWN)
        path, asked = ("chat/completions", _MESSAGES) if self._chats else ("completions", f'"prompt": "{_QUESTION}"')
        return (
            f"curl -N {self.url}/{path} \\\n"
            f'  -H "Authorization: Bearer {key}" \\\n'
            f'  -H "Content-Type: application/json" \\\n'
            f"""  -d '{{"model": "{self.choice.model.name}", "stream": true,\n"""
            f"""       {asked}}}'\n"""
        )

    def _python(self) -> str:
        kept = f"open({json.dumps(short_path(self.data.key_file))}).read().strip()"
        key = f'"{self.key.new}"' if self.key.new else kept if self.key.kept else 'os.environ["PENSTOCK_API_KEY"]'
        needs_os = "import os\n" if key.startswith("os.") else ""
        resource, asked, text = (
            ("chat.completions", f"messages=[{_MESSAGE}]", "delta.content")
            if self._chats
            else ("completions", f'prompt="{_QUESTION}"', "text")
        )
        return (
            f"{needs_os}from openai import OpenAI\n"
            f'client = OpenAI(base_url="{self.url}",\n'
            f"                api_key={key})\n"
            f'stream = client.{resource}.create(model="{self.choice.model.name}", stream=True,\n'
            f"    {asked})\n"
            "for chunk in stream:\n"
            f'    print(chunk.choices[0].{text} or "", end="", flush=True)\n'
        )

    def _commands(self) -> Table:
        penstock, data = _penstock(), self._data_option()
        url = "" if self.url == DEFAULT_URL else f" --url {self.url}"
        table = Table.grid(padding=(0, 2))
        if self._chats:
            table.add_row(Text(f"{penstock} chat{url}{data}", style="cyan"), Text("talk to it", style="dim"))
        table.add_row(Text(f"{penstock} usage{self._ledger_option()}", style="cyan"), Text("what it cost", style="dim"))
        return table

    @property
    def _chats(self) -> bool:
        return self.choice.model.chat

    def _ledger_option(self) -> str:
        elsewhere = self.ledger_url != self.data.ledger_url
        return f" --ledger {shlex.quote(self.ledger_url)}" if elsewhere else self._data_option()

    def _data_option(self) -> str:
        default = self.data.path == DEFAULT_DATA.absolute()
        return "" if default else f" --data {shlex.quote(short_path(self.data.path))}"


_FREE_OF_CHARGE = "  (not in penstock.toml: tokens are counted, at no price)"
_UNKNOWN = "$PENSTOCK_API_KEY"


def short_path(path: Path) -> str:
    """The path from the working directory where it lies below it."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _penstock() -> str:
    """This command as the user can call it again: by its name where the shell finds it, else by its path."""
    called, found = Path(sys.argv[0]).absolute(), shutil.which("penstock")
    return "penstock" if found is not None and Path(found) == called else shlex.quote(short_path(called))


def _coloured(code: str, language: str) -> Text:
    return Syntax(code, language, theme="ansi_dark", background_color="default").highlight(code)
