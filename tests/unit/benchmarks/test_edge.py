"""`python -m benchmarks edge --quick --json` runs whole and says all that it promises. No time is judged."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
PATIENCE = 240  # seconds
MADE_BY_SECONDS = {"cpu_us_per_chunk", "busy_percent"}  # too few for the clock of /proc in a quick run
ROWS = {
    "warm": ["fastapi + mangum echo", "GET /v1/models", "POST /v1/chat/completions"],
    "split": [
        "authenticate (reads the ledger)",
        "validate",
        "admit (writes the ledger)",
        "dispatch (waits for the upstream)",
        "the rest (Mangum, FastAPI, log line)",
        "the whole, with the clocks in it",
    ],
    "alone": [
        "ledger: look a key and its account up",
        "ledger: reserve",
        "disk: write and flush 12 KiB",
        "upstream: ask it with aiohttp",
    ],
    "streams_even": ["direct", "relayed", "added"],
    "streams_together": ["direct", "relayed", "added"],
    "memory": [
        "idle, after the first few requests",
        "4 streams open, the most of all rounds",
        "idle again, after all rounds",
    ],
    "proxies": ["4: the stub itself", "4: Penstock", "4, streams: the stub itself", "4, streams: Penstock"],
}


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    arguments = [sys.executable, "-m", "benchmarks", "edge", "--quick", "--json"]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    [line] = done.stdout.splitlines()
    loaded: dict[str, Any] = json.loads(line)
    return loaded


def test_it_names_itself_and_the_machine(report: dict[str, Any]) -> None:
    assert report["benchmark"] == "edge"
    assert report["quick"] is True
    assert report["seconds"] > 0
    assert report["machine"]["cpus"] >= 1


def test_every_table_has_its_rows(report: dict[str, Any]) -> None:
    assert {key: [row["what"] for row in rows] for key, rows in report["tables"].items()} == ROWS


@pytest.mark.parametrize("table", ["warm", "split", "alone"])
def test_every_spread_is_in_order_and_not_nothing(report: dict[str, Any], table: str) -> None:
    spreads = [cell for row in report["tables"][table] for key, cell in row.items() if key != "what"]
    assert spreads
    for spread in spreads:
        assert 0 < spread["low"] <= spread["median"] <= spread["high"]


def test_the_echo_is_its_own_peer(report: dict[str, Any]) -> None:
    [echo] = [row for row in report["tables"]["warm"] if row["what"] == "fastapi + mangum echo"]
    ratios = [cell for key, cell in echo.items() if key.endswith("ratio")]
    assert ratios
    assert all(ratio == {"median": 1.0, "low": 1.0, "high": 1.0} for ratio in ratios)


@pytest.mark.parametrize("table", ["streams_even", "streams_together"])
def test_every_delay_was_measured_on_both_ways(report: dict[str, Any], table: str) -> None:
    direct, relayed, added = report["tables"][table]
    measured = direct.keys() - {"what"} - MADE_BY_SECONDS
    assert measured == {"delay_p50_ms", "delay_p99_ms", "first_p50_ms", "first_p99_ms"}
    for key in measured:
        assert direct[key]["median"] > 0
        assert relayed[key]["median"] > 0
        assert added[key] is not None


def test_no_part_is_larger_than_the_whole(report: dict[str, Any]) -> None:
    # Holds for each request, and so for the medians.
    *parts, whole = report["tables"]["split"]
    assert whole["percent"]["median"] == 100
    assert all(part["wall_us"]["median"] <= whole["wall_us"]["median"] for part in parts)


def test_the_memory_of_the_edge_was_read_where_there_is_proc(report: dict[str, Any]) -> None:
    resident = [row["resident_mib"] for row in report["tables"]["memory"]]
    if not Path("/proc/self/stat").exists():
        assert resident == [None, None, None]
    else:
        assert all(mib > 1 for mib in resident)


def test_every_request_of_a_crowd_was_answered(report: dict[str, Any]) -> None:
    for row in report["tables"]["proxies"]:
        assert row["failed"] == 0, row["what"]
        for key in ("per_second", "p50_ms", "p99_ms"):
            assert 0 < row[key]["low"] <= row[key]["median"] <= row[key]["high"]
        assert row["p50_ms"]["median"] <= row["p99_ms"]["median"]
