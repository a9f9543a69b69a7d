"""What every command has in common."""

import subprocess
import sys
from pathlib import Path

import pytest

from penstock import __version__
from tests.integration.cli.command import done, environment, here, penstock, refused


def test_the_version() -> None:
    assert done(penstock("--version")) == f"penstock {__version__}\n"


@pytest.mark.parametrize("command", ["serve", "chat", "usage", "keys create", "keys rotate", "accounts set"])
def test_help(command: str) -> None:
    assert "--data" in done(penstock(*command.split(), "--help", COLUMNS="200"))


def test_no_command_is_help_and_a_failure() -> None:
    result = penstock()
    assert result.returncode == 2
    assert "serve" in result.stdout
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing"], "nothing"),
        (["keys", "revoke"], "ID"),
        (["serve", "--port", "70000"], "65535"),
        (["usage", "--since", "2026-02-30"], "2026-02-30"),
        (["usage", "--since", "2026-02-02", "--until", "2026-02-01"], "is after"),
        (["usage", "--json", "--csv"], "not both"),
        (["keys", "create", "--expires-in", "soon"], "soon"),
        (["keys", "create", "--monthly-budget", "much"], "much"),
        (["keys", "create", "--models", "a,,b"], "--models"),
        (["accounts", "create", "no/slash"], "id"),
    ],
)
def test_a_wrong_call_is_one_line(arguments: list[str], said: str) -> None:
    assert said in refused(here(*arguments), exit_code=2)


@pytest.mark.parametrize("command", [["usage"], ["keys", "list"], ["accounts", "list"], ["keys", "create"]])
def test_a_ledger_that_is_not_there_is_one_line_and_is_not_made(command: list[str], tmp_path: Path) -> None:
    assert "holds no ledger" in refused(here(*command, "--data", tmp_path))
    assert "names no ledger" in refused(here(*command, "--ledger", "http://nowhere"))
    assert "not available" in refused(here(*command, "--ledger", f"sqlite:///{tmp_path}/no/where/ledger.db"))
    assert list(tmp_path.iterdir()) == []


def test_the_ledger_may_come_from_the_environment(ledger: str, tmp_path: Path) -> None:
    assert "local" in done(penstock("accounts", "list", PENSTOCK_LEDGER_URL=ledger))
    assert "local" in done(penstock("accounts", "list", PENSTOCK_DATA=str(tmp_path)))


def test_an_option_goes_before_the_environment(ledger: str, tmp_path: Path) -> None:
    elsewhere = f"sqlite:///{tmp_path}/other.db"
    assert "local" in done(penstock("accounts", "list", "--data", tmp_path, PENSTOCK_LEDGER_URL=elsewhere))
    assert "local" in done(penstock("accounts", "list", "--ledger", ledger, PENSTOCK_DATA="/nowhere"))


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys; from penstock.cli.app import run; run(['--help']);"
        "heavy = {'httpx2', 'sqlalchemy', 'uvicorn', 'torch', 'fastapi', 'huggingface_hub'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, env=environment())
