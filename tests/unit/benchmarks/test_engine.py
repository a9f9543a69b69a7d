"""`python -m benchmarks engine --quick --json` runs whole and says all that it promises. No time is judged."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.engine.plan import EVERYONE, OURS

ROOT = Path(__file__).parents[3]
PATIENCE = 240  # seconds
CASES = ("1 at once", "3 at once")
SILENT_UNTIL_THE_END = "static padded batch"
ROWS = {
    "tiny_numbers": [f"{case}: {name}" for case in CASES for name in EVERYONE],
    "tiny_ratios": [f"{case}: {name}" for case in CASES for name in EVERYONE if name != OURS],
    "step": ["greedy", "temperature, top_p, top_k, three penalties"],
    "joining": [
        "between tokens of the others, before: p50",
        "while it is read: p50",
        "while it is read: p99",
        "its first token, alone",
        "its first token, among the others",
    ],
    "prefix": [
        "a prompt never seen",
        "the same beginning, of the same owner",
        "the same beginning, of another owner",
    ],
}


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    arguments = [sys.executable, "-m", "benchmarks", "engine", "--quick", "--json"]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    [line] = done.stdout.splitlines()
    loaded: dict[str, Any] = json.loads(line)
    assert loaded["benchmark"] == "engine"
    assert loaded["quick"] is True
    return loaded


def test_every_table_has_its_rows(report: dict[str, Any]) -> None:
    tables = report["tables"]
    assert tables.keys() == ROWS.keys() | {"bars"}
    assert {key: [row["what"] for row in tables[key]] for key in ROWS} == ROWS


@pytest.mark.parametrize("table", sorted(ROWS))
def test_every_spread_is_in_order_and_not_nothing(report: dict[str, Any], table: str) -> None:
    for row in report["tables"][table]:
        for key, cell in row.items():
            if key == "what":
                continue
            if SILENT_UNTIL_THE_END in row["what"] and key.startswith("between"):
                assert cell is None
            else:
                assert 0 < cell["low"] <= cell["median"] <= cell["high"]


def test_a_ratio_is_how_many_times_better_ours_is(report: dict[str, Any]) -> None:
    # There is one round, so that a ratio is one of two numbers that are there.
    numbers = {row["what"]: row for row in report["tables"]["tiny_numbers"]}
    for row in report["tables"]["tiny_ratios"]:
        theirs, ours = numbers[row["what"]], numbers[f"{row['what'].partition(':')[0]}: {OURS}"]
        rate, wait = row["tokens_per_s"]["median"], row["first_p50"]["median"]
        assert rate == pytest.approx(ours["tokens_per_s"]["median"] / theirs["tokens_per_s"]["median"], rel=0.01)
        assert wait == pytest.approx(theirs["first_p50_ms"]["median"] / ours["first_p50_ms"]["median"], rel=0.01)


def test_a_bar_is_judged_where_it_was_measured(report: dict[str, Any]) -> None:
    rows = report["tables"]["bars"]
    assert len(rows) == 9
    for row in rows:
        if row["measured"] is None:
            assert row["verdict"] is None
            continue
        kind, _, bar = row["bar"].rpartition(" ")
        reached = row["measured"]["median"] - float(bar)
        assert row["verdict"] == ("met" if (reached >= 0) == (kind == "at least") or reached == 0 else "missed")
    assert [row["what"] for row in rows if row["measured"] is None] == [row["what"] for row in rows[:5]]
