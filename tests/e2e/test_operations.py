"""The commands of docs/operations.md, run in one shell as they stand, on the ledger of a running service."""

import os
import re
import subprocess
import sys

import pytest

from tests.e2e.service import ROOT, Service
from tests.integration.cli.command import done, here

TEXT = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
BLOCKS: list[str] = re.findall(r"^```sh\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
BIN = str(os.path.dirname(sys.executable))  # noqa: PTH120 (a symlink must stay one)


def run(service: Service, script: str) -> "subprocess.CompletedProcess[str]":
    ledger = f"sqlite:///{service.data.resolve() / 'ledger.db'}"
    script = script.replace("dynamodb://penstock-production", ledger).replace("http://127.0.0.1:8000", service.url)
    command = ["bash", "-euo", "pipefail", "-c", script.replace(".venv/bin", BIN)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=300, cwd=ROOT)


def test_the_commands_of_the_page_run_from_top_to_bottom(service: Service) -> None:
    marked = "\n".join(f"echo '== {number}'\n{block}" for number, block in enumerate(BLOCKS))
    result = run(service, marked)
    assert result.returncode == 0, result.stdout + result.stderr
    output = result.stdout
    assert "The account lab was made." in output
    assert re.search(r"^off since \S+: Prices are being checked$", output, re.MULTILINE)
    assert '"monthly_budget_nano_usd":12500000000' in output
    assert '"object":"list"' in output
    assert "day,account,requests," in output
    assert "Everything adds up." in output
    assert "leases were closed." in output


def test_every_command_line_of_the_page_is_one_that_the_program_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    lines = re.findall(r"\.venv/bin/penstock ([a-z]+(?: [a-z]+)?)([^\n`|)]*)", TEXT)
    assert {command for command, _ in lines} >= {"keys create", "ledger adopt", "ledger verify", "switch off", "usage"}
    for command, options in lines:
        words = command.split() if command.split()[0] in ("keys", "accounts", "ledger") else command.split()[:1]
        shown = done(here(*words, "--help"))
        for option in re.findall(r"--[a-z-]+", options):
            assert option in shown, (command, option)


def test_every_alarm_of_the_stack_is_explained() -> None:
    alarms = set(re.findall(r"^ +(\w+Alarm):$", (ROOT / "infra" / "alarms.yml").read_text("utf-8"), re.MULTILINE))
    assert alarms >= {"ApiErrorsAlarm", "LedgerThrottlesAlarm"}
    table = TEXT.partition("| alarm | means | look at |")[2].partition("\n\n")[0]
    assert set(re.findall(r"`(\w+Alarm)`", table)) == alarms


def test_the_fields_that_are_asked_for_in_the_logs_are_those_that_the_edge_writes() -> None:
    queries = re.findall(r"^filter (.*)$", TEXT, re.MULTILINE)
    known = {
        "event",
        "level",
        "request_id",
        "status",
        "error",
        "route",
        "model",
        "crash",
        "at",
        "account",
        "duration_ms",
    }
    words = {word for query in queries for word in re.findall(r"[a-z_]+", re.sub(r'"[^"]*"', "", query))}
    grammar = {"filter", "and", "stats", "count", "by", "sort", "desc", "limit", "ispresent", "in", "timestamp"}
    assert len(queries) == 6
    assert words - grammar <= known
