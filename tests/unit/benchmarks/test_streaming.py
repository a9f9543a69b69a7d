"""`python -m benchmarks streaming --quick --json` runs whole and says all that it promises. No time is judged."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
PATIENCE = 240  # seconds
WAYS = ["uvicorn", "streaming.py"]


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    arguments = [sys.executable, "-m", "benchmarks", "streaming", "--quick", "--json"]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    [line] = done.stdout.splitlines()
    loaded: dict[str, Any] = json.loads(line)
    return loaded


def test_every_table_has_its_rows(report: dict[str, Any]) -> None:
    assert report["benchmark"] == "streaming"
    assert report["quick"] is True
    assert {key: [row["what"] for row in rows] for key, rows in report["tables"].items()} == {
        "chunks": [*WAYS, "added"],
        "small": WAYS,
        "memory": WAYS,
    }


def test_every_delay_was_measured_on_both_ways(report: dict[str, Any]) -> None:
    served, invoked, added = report["tables"]["chunks"]
    for key in ("delay_p50_ms", "delay_p99_ms", "first_p50_ms"):
        assert served[key]["median"] > 0
        assert invoked[key]["median"] > 0
        assert added[key]["median"] == pytest.approx(invoked[key]["median"] - served[key]["median"], abs=0.001)


def test_small_requests_were_measured_beside_their_peer(report: dict[str, Any]) -> None:
    served, invoked = report["tables"]["small"]
    assert served["ratio"] == {"median": 1.0, "low": 1.0, "high": 1.0}
    assert invoked["ratio"]["median"] > 0
    for row in (served, invoked):
        assert 0 < row["p50_ms"]["median"] <= row["p99_ms"]["median"]


def test_the_memory_was_read_where_there_is_proc(report: dict[str, Any]) -> None:
    for row in report["tables"]["memory"]:
        if Path("/proc/self/stat").exists():
            assert row["warm_mib"] > 1
            assert row["grown_mib"] == pytest.approx(row["later_mib"] - row["warm_mib"], abs=0.001)
        else:
            assert row["grown_mib"] is None
