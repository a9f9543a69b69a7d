"""A report says the same in its tables and in its JSON."""

import json

from benchmarks.report import Column, Report, Row, Table
from benchmarks.spread import Spread

COLUMNS = (Column("what", "what"), Column("wall_us", "wall us"), Column("share_percent", "share", "%"))
ROWS: list[Row] = [
    {"what": "echo [x]", "wall_us": Spread(1234.5, 0.5, 20000), "share_percent": 12.345},
    {"what": "other", "wall_us": None, "share_percent": None},
]
REPORT = Report("demo", quick=True, tables=[Table("warm", "Warm", COLUMNS, ROWS, ("A note.",))], seconds=1.26)


def test_the_json_is_one_object_on_one_line() -> None:
    assert "\n" not in REPORT.json()
    data = json.loads(REPORT.json())
    assert data["benchmark"] == "demo"
    assert data["quick"] is True
    assert data["seconds"] == 1.3
    assert set(data["machine"]) == {"python", "system", "cpus", "load_average"}
    assert data["tables"]["warm"] == [
        {"what": "echo [x]", "wall_us": {"median": 1234.5, "low": 0.5, "high": 20000}, "share_percent": 12.345},
        {"what": "other", "wall_us": None, "share_percent": None},
    ]


def test_the_tables_show_median_and_spread() -> None:
    text = REPORT.text()
    for shown in ("Warm", "echo [x]", "1,234 (0.50..20,000)", "12.3%", "A note.", "A quick run"):
        assert shown in text


def test_what_could_not_be_measured_is_a_dash() -> None:
    [line] = [line for line in REPORT.text().splitlines() if "other" in line]
    assert line.split() == ["other", "-", "-"]


def test_a_count_is_shown_whole() -> None:
    report = Report("demo", False, [Table("size", "Size", COLUMNS, [ROWS[1] | {"wall_us": 61_440}])], 1)
    [line] = [line for line in report.text().splitlines() if "other" in line]
    assert line.split() == ["other", "61,440", "-"]
