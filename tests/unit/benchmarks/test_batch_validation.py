"""The validation of a large input is measured, here of a small one: it must read all of it, and find what is wrong."""

import re

import pytest

from benchmarks.batch.validation import measure
from penstock.batches.records import MOST_ERRORS


def test_a_run_measures_a_good_and_a_wrong_input() -> None:
    report = measure(6_000, 3_000_000)
    tables = {table.key: table.rows for table in report.tables}
    whole = tables["whole"][0]
    assert whole["lines"] == 6_000
    assert whole["bytes"] == pytest.approx(3_000_000, rel=0.01)
    assert tables["progress"][-1]["lines"] == "6,000"
    assert [row["line"] for row in tables["errors"]] == [4, 8, 12, 4 * MOST_ERRORS]
    assert re.search(r"100 errors were told, and that there are more, after 404 lines", report.text())
