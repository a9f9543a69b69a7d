"""`python -m benchmarks.batch.validation [--lines N] [--bytes N]`: validate a large input, and then one with errors.

Each in a fresh process, from a folder in place of object storage. Memory is that of the process, its modules included.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson

from benchmarks.batch import large_input
from benchmarks.child import child
from benchmarks.failure import BenchmarkFailed
from benchmarks.report import Column, Report, Row, Table
from penstock.batches.records import MOST_ERRORS

WITHIN = 1_800.0  # seconds
LINES, BYTES = 2_000_000, 1_000_000_000
_ROWS = 20  # of the table of progress, at most
_WRONG = 1_500  # lines of the second input, which is refused after the first 100


def main() -> None:
    """The tables, or the one JSON object, on standard output."""
    parser = argparse.ArgumentParser(prog="benchmarks.batch.validation", description="Validate a large input.")
    parser.add_argument("--lines", type=int, default=LINES)
    parser.add_argument("--bytes", type=int, default=BYTES, help="of the whole input")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    options = parser.parse_args()
    try:
        report = measure(options.lines, options.bytes)
    except BenchmarkFailed as error:
        sys.exit(f"benchmark validation: {error}")
    print(report.json() if options.json else report.text())


def measure(lines: int, size: int) -> Report:
    """Validate an input of so many lines and bytes, and one of which some lines are wrong. Raises BenchmarkFailed."""
    begun, wrong = time.monotonic(), _wrong(lines)
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as name:
        folder = Path(name) / "objects"
        written = asyncio.run(large_input.write(folder, lines, size // lines))
        good = _validated(folder)
        if (good["lines"], good["errors"]) != (lines, []):
            raise BenchmarkFailed(f"of {lines} good lines {good['lines']} were read: {good['errors'][:1]}")
        asyncio.run(large_input.write(folder, lines, size // lines, frozenset(wrong)))
        bad = _validated(folder)
        if [error["line"] for error in bad["errors"]] != list(wrong[:MOST_ERRORS]):
            raise BenchmarkFailed(f"the lines {wrong[:3]} ... are wrong, and others were told: {bad['errors'][:3]}")
    tables = [_whole(written, good), _progress(lines, written, good["marks"]), _errors(bad)]
    return Report("validation", (lines, size) != (LINES, BYTES), tables, time.monotonic() - begun)


def _wrong(lines: int) -> Sequence[int]:
    """Lines all over the input, by number."""
    return range(lines // _WRONG, lines + 1, max(lines // _WRONG, 1))


def _validated(folder: Path) -> dict[str, Any]:
    log = folder.with_name("told")
    log.unlink(missing_ok=True)
    with child("validation", ["-m", "benchmarks.batch.validating", str(folder)], log=log) as running:
        running.wait(WITHIN)
    found: dict[str, Any] = orjson.loads(log.read_bytes())
    return found


def _whole(written: int, told: dict[str, Any]) -> Table:
    columns = [
        Column("input", "input"),
        Column("lines", "lines"),
        Column("bytes", "bytes"),
        Column("seconds", "seconds"),
        Column("lines_per_s", "lines/s"),
        Column("cpu_us", "CPU us a line"),
        Column("peak_mib", "peak MiB"),
        Column("shards", "shards"),
    ]
    row: Row = {
        "input": "all good",
        "lines": told["lines"],
        "bytes": written,
        "seconds": told["seconds"],
        "lines_per_s": told["lines"] / told["seconds"],
        "cpu_us": told["cpu"] / told["lines"] * 1e6,
        "peak_mib": _mib(told["peak"]),
        "shards": told["shards"],
    }
    return Table("whole", "Validating an input", columns, [row])


def _progress(lines: int, written: int, marks: Sequence[dict[str, Any]]) -> Table:
    """By parts of the input: whether it becomes slower, or holds more, the more it has read."""
    columns = [
        Column("lines", "lines read"),
        Column("seconds", "seconds"),
        Column("lines_per_s", "lines/s since the last"),
        Column("resident_mib", "MiB in memory"),
    ]
    every = max(len(marks) // _ROWS, 1)
    chosen = [marks[0], *marks[every::every]]
    rows: list[Row] = []
    for before, mark in pairwise(chosen):
        read = [lines * one["read"] / written for one in (before, mark)]
        rows.append(
            {
                "lines": f"{read[1]:,.0f}",
                "seconds": mark["seconds"],
                "lines_per_s": (read[1] - read[0]) / (mark["seconds"] - before["seconds"]),
                "resident_mib": _mib(mark["resident"]),
            }
        )
    return Table("progress", "As it went", columns, rows)


def _errors(told: dict[str, Any]) -> Table:
    columns = [Column("which", "error"), Column("line", "line"), Column("code", "code"), Column("message", "message")]
    errors = list(enumerate(told["errors"], 1))
    rows: list[Row] = [
        {"which": str(place), "line": error["line"], "code": error["code"], "message": error["message"]}
        for place, error in [*errors[:3], *errors[-1:]]
    ]
    more = "that there are more" if told["more_errors"] else "no more"
    note = f"{len(errors)} errors were told, and {more}, after {told['lines']:,} lines in {told['seconds']:.1f} s."
    return Table("errors", "An input of which lines all over it are cut off", columns, rows, [note])


def _mib(size: int | None) -> float | None:
    return None if size is None else size / (1 << 20)


if __name__ == "__main__":
    main()
