"""`penstock` as a user runs it: a process of its own, from the environment that the tests run in."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson

PENSTOCK = str(Path(sys.executable).with_name("penstock"))
ROOT = Path(__file__).parents[3]

Result = subprocess.CompletedProcess[str]


def environment(**more: str) -> dict[str, str]:
    """This process's environment without Penstock's own settings."""
    rest = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
    return {**rest, "OMP_NUM_THREADS": "1", **more}


def penstock(*arguments: str | Path, typed: str = "", env: dict[str, str] | None = None) -> Result:
    """Run a command to its end."""
    command = [PENSTOCK, *map(str, arguments)]
    return subprocess.run(
        command, input=typed, capture_output=True, text=True, timeout=120, cwd=ROOT, env=env or environment()
    )


def done(*arguments: str | Path, **options: Any) -> str:
    """What a command prints that does what it is asked to."""
    result = penstock(*arguments, **options)
    assert result.returncode == 0, result.stderr
    return result.stdout


def json_of(*arguments: str | Path) -> Any:
    """The one JSON object that a command prints with `--json`."""
    return orjson.loads(done(*arguments, "--json"))


def refused(*arguments: str | Path, exit_code: int = 1, **options: Any) -> str:
    """The one line in which a command says why it does not do what it is asked to."""
    result = penstock(*arguments, **options)
    assert (result.returncode, result.stdout) == (exit_code, ""), result
    assert result.stderr.startswith("penstock: ")
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr
    return result.stderr.removeprefix("penstock: ").rstrip("\n")
