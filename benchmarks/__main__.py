"""`python -m benchmarks NAME [--quick] [--json]`: run one benchmark and print what it measured."""

import argparse
import sys
from collections.abc import Callable
from functools import partial

from rich.console import Console

from benchmarks.batch.measure import measure as measure_batch
from benchmarks.coldstart.measure import measure as measure_coldstart
from benchmarks.edge.measure import measure as measure_edge
from benchmarks.engine.measure import measure as measure_engine
from benchmarks.failure import BenchmarkFailed
from benchmarks.ledger.measure import measure as measure_ledger
from benchmarks.modal.measure import measure as measure_modal
from benchmarks.report import Report
from benchmarks.streaming.measure import measure as measure_streaming

_BENCHMARKS: dict[str, Callable[[bool, Callable[[str], None]], Report]] = {
    "batch": measure_batch,
    "coldstart": measure_coldstart,
    "edge": measure_edge,
    "engine": measure_engine,
    "ledger": measure_ledger,
    "modal": measure_modal,
    "streaming": measure_streaming,
}


def main() -> None:
    """Progress goes to standard error, the tables or the one JSON object to standard output."""
    parser = argparse.ArgumentParser(prog="benchmarks", description="Run a benchmark.")
    parser.add_argument("name", choices=sorted(_BENCHMARKS))
    parser.add_argument("--quick", action="store_true", help="seconds: shows that it runs, measures little")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    options = parser.parse_args()
    say = partial(Console(stderr=True).print, style="dim")
    try:
        report = _BENCHMARKS[options.name](options.quick, say)
    except BenchmarkFailed as error:
        sys.exit(f"benchmark {options.name}: {error}")
    print(report.json() if options.json else report.text())


if __name__ == "__main__":
    main()
