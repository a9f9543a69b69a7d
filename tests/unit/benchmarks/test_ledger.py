"""`python -m benchmarks ledger --quick --json` runs whole and says all that it promises. No time is judged.

What is counted is: the ledger's promise on requests is held here.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
PATIENCE = 240  # seconds
RATES = {"sqlite_rates", "dynamodb_rates"}
TABLES = RATES | {"requests", "account_item", "items", "cost", "account_rate"}
CROWDS = ("1, one account", "4, one account", "4, one each")
WORKS = ("a bare write", "reserve", "settle", "whole life")
PROMISED = {
    "edge: look a key and its account up (cached for seconds)": ["GetItem", "GetItem", "GetItem"],
    "edge: reserve": ["UpdateItem"],
    "edge: Idempotency-Key: begin": ["PutItem"],
    "edge: Idempotency-Key: keep the answer": ["PutItem", "UpdateItem"],
    "edge: Idempotency-Key: the answer again": ["PutItem", "GetItem"],
    "gpu: claim": ["UpdateItem"],
    "gpu: checkpoint": ["UpdateItem"],
    "gpu: settle": ["TransactWriteItems", "UpdateItem"],
    "gpu: claim, the caller is near a limit": ["UpdateItem", "UpdateItem"],
    "edge: the same, soon after": ["UpdateItem"],
}


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    arguments = [sys.executable, "-m", "benchmarks", "ledger", "--quick", "--json"]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    [line] = done.stdout.splitlines()
    loaded: dict[str, Any] = json.loads(line)
    assert loaded["benchmark"] == "ledger"
    assert loaded["quick"] is True
    return loaded


def rows(report: dict[str, Any], table: str) -> dict[str, dict[str, Any]]:
    return {row["what"]: row for row in report["tables"][table]}


def test_every_table_is_there(report: dict[str, Any]) -> None:
    assert report["tables"].keys() == TABLES


@pytest.mark.parametrize("table", sorted(RATES))
def test_every_crowd_did_all_of_it(report: dict[str, Any], table: str) -> None:
    measured = rows(report, table)
    assert list(measured) == [f"{crowd}: {work}" for crowd in CROWDS for work in WORKS]
    for row in measured.values():
        for key in ("per_second", "bare_writes", "p50_ms", "p99_ms"):
            assert 0 < row[key]["low"] <= row[key]["median"] <= row[key]["high"]
        assert row["p50_ms"]["median"] <= row["p99_ms"]["median"]


@pytest.mark.parametrize("table", sorted(RATES))
def test_a_bare_write_is_its_own_peer(report: dict[str, Any], table: str) -> None:
    measured = rows(report, table)
    for crowd in CROWDS:
        assert measured[f"{crowd}: a bare write"]["bare_writes"] == {"median": 1.0, "low": 1.0, "high": 1.0}


def test_requests_are_as_few_as_promised(report: dict[str, Any]) -> None:
    counted = rows(report, "requests")
    assert {what: counted[what]["which"].split(", ") for what in PROMISED} == PROMISED
    assert all(row["requests"] == len(row["which"].split(", ")) for row in counted.values())


def test_the_emulator_agrees_on_the_units(report: dict[str, Any]) -> None:
    accounts = report["tables"]["account_item"]
    assert len(accounts) == 6
    for row in accounts:
        assert row["write_units"] == row["emulator_units"]
        assert row["bytes"] > 300


def test_more_leases_and_more_keys_are_a_larger_item(report: dict[str, Any]) -> None:
    one, *others = (row["bytes"] for row in report["tables"]["account_item"])
    assert all(size > one for size in others)


def test_a_dearer_item_is_a_dearer_request_and_an_idempotency_key_costs_more(report: dict[str, Any]) -> None:
    for account, cost in zip(report["tables"]["account_item"], report["tables"]["cost"], strict=True):
        assert cost["what"] == account["what"]
        assert cost["write_units"] == 5 + 2 * account["write_units"]
        assert cost["keyed_write_units"] > cost["write_units"]
        assert cost["dollars_per_million"] > 0


def test_the_longer_requests_live_the_fewer_an_account_carries(report: dict[str, Any]) -> None:
    carried = [
        row["requests_per_second"] for row in report["tables"]["account_rate"] if row["what"].startswith("1 key")
    ]
    assert carried == sorted(carried, reverse=True)
    assert carried[0] > carried[-1] > 0
