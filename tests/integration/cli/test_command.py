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
        (["keys", "create", "--routes", "everything"], "routes"),
        (["keys", "create", "--monthly-tokens", "many"], "--monthly-tokens"),
        (["usage", "--by", "hour"], "--by"),
        (["usage", "--by", ""], "--by"),
        (["switch", "maybe"], "maybe"),
        (["switch", "--reason", "why"], "--reason"),
        (["ledger", "create"], "--ledger"),
        (["ledger", "create", "--ledger", "http://nowhere"], "names no ledger"),
        (["ledger", "adopt", "--ledger", "dynamodb://new"], "one of them"),
        (["ledger", "adopt", "--ledger", "sqlite:////a", "--revoke-all"], "only a table"),
        (["ledger", "adopt", "--ledger", "dynamodb://new", "--revocations-from", "old"], "names no ledger"),
        (["ledger", "adopt", "--ledger", "dynamodb://new", "--revocations-from", "dynamodb://new"], "itself"),
    ],
)
def test_a_wrong_call_is_one_line(arguments: list[str], said: str) -> None:
    assert said in refused(here(*arguments), exit_code=2)


@pytest.mark.parametrize(
    "command", [["usage"], ["keys", "list"], ["accounts", "list"], ["keys", "create"], ["switch"], ["ledger", "verify"]]
)
def test_a_ledger_that_is_not_there_is_one_line_and_is_not_made(command: list[str], tmp_path: Path) -> None:
    assert "holds no ledger" in refused(here(*command, "--data", tmp_path))
    assert "names no ledger" in refused(here(*command, "--ledger", "http://nowhere"), exit_code=2)
    assert "not available" in refused(here(*command, "--ledger", f"sqlite:///{tmp_path}/no/where/ledger.db"))
    assert list(tmp_path.iterdir()) == []


def test_the_ledger_may_come_from_the_environment(ledger_file: str, tmp_path: Path) -> None:
    assert "local" in done(penstock("accounts", "list", PENSTOCK_LEDGER_URL=ledger_file))
    assert "local" in done(penstock("accounts", "list", PENSTOCK_DATA=str(tmp_path)))


def test_an_option_goes_before_the_environment(ledger_file: str, tmp_path: Path) -> None:
    elsewhere = f"sqlite:///{tmp_path}/other.db"
    assert "local" in done(penstock("accounts", "list", "--data", tmp_path, PENSTOCK_LEDGER_URL=elsewhere))
    assert "local" in done(penstock("accounts", "list", "--ledger", ledger_file, PENSTOCK_DATA="/nowhere"))


@pytest.mark.parametrize(
    ("absent", "url", "extra"),
    [
        ("sqlalchemy", "sqlite:///{tmp_path}/ledger.db", "local"),
        ("aiobotocore", "dynamodb://nothing", "edge"),
    ],
)
def test_a_library_that_is_missing_is_named_with_its_extra(absent: str, url: str, extra: str, tmp_path: Path) -> None:
    url = url.format(tmp_path=tmp_path)
    program = (
        f"import sys; sys.modules[{absent!r}] = None;"
        f"from penstock.cli.app import run; sys.exit(run(['keys', 'list', '--ledger', {url!r}]))"
    )
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, check=False, capture_output=True, text=True, env=environment())
    said = refused(result)
    assert f"`{extra}` extra" in said
    assert absent in said


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys; from penstock.cli.app import run; run(['--help']);"
        "heavy = {'httpx2', 'sqlalchemy', 'uvicorn', 'torch', 'fastapi', 'huggingface_hub'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, env=environment())
