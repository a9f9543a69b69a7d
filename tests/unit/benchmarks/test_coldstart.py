"""`python -m benchmarks coldstart --quick --json` runs whole and says all that it promises. No time is judged."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
PATIENCE = 280  # seconds
BARE = "bare stack: one GetItem"
JUDGED = ["edge: GET /v1/models", "edge: POST /v1/chat/completions"]


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    arguments = [sys.executable, "-m", "benchmarks", "coldstart", "--quick", "--json"]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    [line] = done.stdout.splitlines()
    loaded: dict[str, Any] = json.loads(line)
    return loaded


@pytest.fixture
def rows(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    assert list(report["tables"]) == ["python_3_11"]
    return {row["what"]: row for row in report["tables"]["python_3_11"]}


def test_it_names_itself(report: dict[str, Any]) -> None:
    assert (report["benchmark"], report["quick"]) == ("coldstart", True)


def test_every_function_was_started_and_answered(rows: dict[str, dict[str, Any]]) -> None:
    assert list(rows) == [BARE, *JUDGED, "reconciler: one run"]
    for row in rows.values():
        assert row["import_ms"]["median"] > 0
        assert row["first_ms"]["median"] > 0
        assert row["whole_ms"]["median"] == pytest.approx(row["import_ms"]["median"] + row["first_ms"]["median"])


def test_the_bare_stack_is_its_own_peer_and_the_edge_is_judged(rows: dict[str, dict[str, Any]]) -> None:
    assert rows[BARE]["ratio"] == {"median": 1.0, "low": 1.0, "high": 1.0}
    assert {name for name, row in rows.items() if row["verdict"] in ("met", "missed")} == set(JUDGED)
