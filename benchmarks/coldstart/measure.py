"""The whole benchmark: for each Python of Lambda that is here, every function in fresh processes, by turns."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.coldstart.packages import Packages, packages
from benchmarks.coldstart.rig import Bench, bench
from benchmarks.coldstart.subjects import Start, Subject, start
from benchmarks.edge import events
from benchmarks.report import Column, Report, Row, Table
from benchmarks.spread import Spread

BAR = 1.25
"""What the edge's import and first request may take at most, as a multiple of the bare stack's."""

_BARE = "bare stack: one GetItem"
_JUDGED = ("edge: GET /v1/models", "edge: POST /v1/chat/completions")
_COLUMNS = (
    Column("what", "in a fresh process"),
    Column("import_ms", "import"),
    Column("first_ms", "first request"),
    Column("whole_ms", "both"),
    Column("ratio", "x bare"),
    Column("verdict", f"bar: {BAR}"),
)


@dataclass(frozen=True, slots=True)
class _Plan:
    pythons: tuple[str, ...]
    processes: int  # of each subject, after one that is not counted


_FULL = _Plan(("3.11", "3.13"), processes=11)
_QUICK = _Plan(("3.11",), processes=1)


def measure(quick: bool, say: Callable[[str], None]) -> Report:
    """Measure the packaged functions. `say` is told what goes on. Raises BenchmarkFailed."""
    plan, begun, tables = _QUICK if quick else _FULL, time.monotonic(), []
    with bench() as rig:
        for python in plan.pythons:
            say(f"packaging for Python {python} ...")
            packaged = packages(python, rig.directory)
            if packaged is None:
                say(f"there is no Python {python} here")
                continue
            say(f"cold starts under Python {python} ...")
            tables.append(_table(packaged, _rounds(packaged, rig, plan.processes)))
    return Report("coldstart", quick, tables, time.monotonic() - begun)


def _subjects(api_key: str) -> Sequence[Subject]:
    models, chat, edge = events.models(api_key), events.chat(api_key), "functions.edge.handler.handler"
    return (
        Subject(_BARE, "bare", "benchmarks.coldstart.bare.handler", models),
        Subject(_JUDGED[0], "edge", edge, models),
        Subject(_JUDGED[1], "edge", edge, chat),
        Subject("reconciler: one run", "batch", "functions.batch.schedule.handler", {}),
    )


def _rounds(packaged: Packages, rig: Bench, processes: int) -> Mapping[str, Sequence[Start]]:
    taken: dict[str, list[Start]] = {}
    subjects = _subjects(rig.api_key)
    for turn in range(processes + 1):
        for subject in subjects if turn % 2 else reversed(subjects):
            one = start(subject, packaged, rig.environment)
            if turn:
                taken.setdefault(subject.name, []).append(one)
    return {subject.name: taken[subject.name] for subject in subjects}


def _table(packaged: Packages, rounds: Mapping[str, Sequence[Start]]) -> Table:
    bare = [one.whole for one in rounds[_BARE]]
    rows: list[Row] = []
    for name, starts in rounds.items():
        ratio = Spread.of_ratios([one.whole for one in starts], bare)
        rows.append(
            {
                "what": name,
                "import_ms": Spread.of(one.imported for one in starts),
                "first_ms": Spread.of(one.answered for one in starts),
                "whole_ms": Spread.of(one.whole for one in starts),
                "ratio": ratio,
                "verdict": ("met" if ratio.median <= BAR else "missed") if name in _JUDGED else None,
            }
        )
    target = packaged.target
    return Table(
        f"python_{target.python.replace('.', '_')}", f"{target}, CPU ms: {len(bare)} processes each", _COLUMNS, rows
    )
