"""Cold start: the CPU time of a fresh Python process that imports the handler, beside its peers.

Imports only, as a Lambda's init phase does; the files are in the page cache and the bytecode is compiled.
Opening the ledger and the first request come after, and are not in here.
"""

import os
import sys
from collections.abc import Mapping

from benchmarks.failure import BenchmarkFailed
from benchmarks.report import Column, Row, Table
from benchmarks.spread import Spread

_PROGRAMS = {
    "bare Python": "pass",
    "fastapi + mangum echo": "import benchmarks.edge.echo",
    "functions.edge.handler": "import functions.edge.handler",
}
_PEER = "fastapi + mangum echo"


def measure_cold(environment: Mapping[str, str], processes: int) -> Table:
    """Each program in so many fresh processes, by turns, after one that is not counted."""
    taken: dict[str, list[float]] = {name: [] for name in _PROGRAMS}
    for turn in range(processes + 1):
        for name, program in _PROGRAMS.items():
            seconds = _cpu_of(program, environment)
            if turn:
                taken[name].append(seconds * 1_000)
    rows: list[Row] = [
        {"what": name, "cpu_ms": Spread.of(times), "ratio": Spread.of_ratios(times, taken[_PEER])}
        for name, times in taken.items()
    ]
    columns = (Column("what", "import in a fresh process"), Column("cpu_ms", "CPU ms"), Column("ratio", "x echo"))
    return Table("cold", f"Cold start: {processes} processes each", columns, rows)


def _cpu_of(program: str, environment: Mapping[str, str]) -> float:
    """User and system time of `python -c PROGRAM`, in seconds. Raises BenchmarkFailed where it fails."""
    pid = os.posix_spawn(sys.executable, [sys.executable, "-c", program], environment)
    _, status, used = os.wait4(pid, 0)
    if status != 0:
        raise BenchmarkFailed(f"python -c {program!r} failed")
    return used.ru_utime + used.ru_stime
