"""The whole benchmark: a contest for each model, then our engine alone; each in a process of its own.

Every process has as many torch threads as OMP_NUM_THREADS says, one where it says nothing: threads that wait
for one another by spinning make a run on a machine with anything else to do slower many times over, and not
all contenders alike. With one, a thread per request still uses every core.
"""

import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.child import child
from benchmarks.engine.bars import bars
from benchmarks.engine.plan import FULL, QUICK
from benchmarks.engine.tables import contest_tables, joining_table, prefix_table, step_table
from benchmarks.report import Report

_PATIENCE = 1_200.0  # seconds for one process
_THREADS = "OMP_NUM_THREADS"


def measure(quick: bool, say: Callable[[str], None]) -> Report:
    """Measure the engine. `say` is told what goes on. Raises BenchmarkFailed."""
    plan, name, begun = (QUICK, "quick", time.monotonic()) if quick else (FULL, "full", time.monotonic())
    threads = os.environ.get(_THREADS, "1")
    contests = {}
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as directory:
        for number, contest in enumerate(plan.contests):
            say(f"{contest.shape} model, every contender ...")
            contests[contest.shape] = _run("contest", [str(number), name], Path(directory), threads)
        say(f"{plan.alone.shape} model, our engine alone ...")
        alone = _run("alone", [name], Path(directory), threads)
    tables = [table for contest in plan.contests for table in contest_tables(contest, contests[contest.shape], threads)]
    tables += [step_table(plan.alone, alone), joining_table(plan.alone, alone), prefix_table(plan.alone, alone)]
    return Report("engine", quick, [*tables, bars(contests, alone)], time.monotonic() - begun)


def _run(module: str, arguments: Sequence[str], directory: Path, threads: str) -> Any:
    result = directory / "result.json"
    with child(
        f"process of the {module}",
        ["-m", f"benchmarks.engine.{module}", *arguments, str(result)],
        log=directory / f"{module}.log",
        environment={**os.environ, _THREADS: threads},
    ) as process:
        process.wait(_PATIENCE)
    return json.loads(result.read_bytes())
