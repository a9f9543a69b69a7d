"""`penstock` as a user runs it, and, for the many small commands, the same without a process for each."""

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import orjson

from penstock.cli.app import run

PENSTOCK = str(Path(sys.executable).with_name("penstock"))
ROOT = Path(__file__).parents[3]

Result = subprocess.CompletedProcess[str]


def environment(**more: str) -> dict[str, str]:
    """This process's environment without Penstock's own settings."""
    rest = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
    return {**rest, "OMP_NUM_THREADS": "1", **more}


def penstock(*arguments: str | Path, typed: str = "", **settings: str) -> Result:
    """Run a command to its end, in a process of its own; `settings` go into its environment."""
    return subprocess.run(
        [PENSTOCK, *map(str, arguments)],
        check=False,
        input=typed,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        env=environment(**settings),
    )


def here(*arguments: str | Path) -> Result:
    """Run a command to its end, in this process."""
    words = [str(argument) for argument in arguments]
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        code = run(words)
    return Result(words, code, out.getvalue(), err.getvalue())


def done(result: Result) -> str:
    """What a command printed that did what it was asked to."""
    assert result.returncode == 0, result
    return result.stdout


def json_of(*arguments: str | Path) -> Any:
    """The one JSON object that a command prints with `--json`."""
    return orjson.loads(done(here(*arguments, "--json")))


def refused(result: Result, exit_code: int = 1) -> str:
    """The one line in which a command said why it did not do what it was asked to."""
    assert (result.returncode, result.stdout) == (exit_code, ""), result
    assert result.stderr.startswith("penstock: ")
    assert result.stderr.count("\n") == 1
    return result.stderr.removeprefix("penstock: ").rstrip("\n")
