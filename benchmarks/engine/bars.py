"""What the engine is meant to reach, and whether it did in this run. A bar that is missed fails nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.engine.plan import STATIC, THEIRS, THREADS
from benchmarks.engine.tables import Rounds, better, share
from benchmarks.report import Column, Row, Table
from benchmarks.spread import Spread

_COLUMNS = (
    Column("what", "what"),
    Column("measured", "measured"),
    Column("bar", "bar"),
    Column("verdict", "verdict"),
)
_Experiments = Mapping[str, Sequence[Mapping[str, float]]]


@dataclass(frozen=True, slots=True)
class _Race:
    """Our tokens a second, by a peer's."""

    shape: str
    case: str
    peer: str
    least: float


_RACES = (
    _Race("small", "16 at once", THREADS, 4.5),
    _Race("small", "64 at once", THREADS, 4.5),
    _Race("small", "64 at once", THEIRS, 2.5),
    _Race("small", "64 at once", STATIC, 1.0),
    _Race("100M", "16 at once", THREADS, 3.9),
)


def bars(contests: Mapping[str, Mapping[str, Mapping[str, Rounds]]], alone: _Experiments) -> Table:
    """Every bar. The median of the rounds is judged; what a quick run leaves out is neither met nor missed."""
    rows = [_race(race, contests.get(race.shape, {}).get(race.case)) for race in _RACES]
    steps = {"greedy": ("choosing rows and greedy sampling", 3), "full": ("choosing rows and full sampling", 10)}
    rows += [
        _most(f"of a decoding step, {title} (%)", share(alone[name]), most) for name, (title, most) in steps.items()
    ]
    stretched = [one["during_p99_ms"] / one["before_p50_ms"] for one in alone["joining"]]
    spared = [one["again"] / one["first"] for one in alone["prefix"]]
    rows.append(_most("a long prompt joins: p99 between tokens, x the p50 before", Spread.of(stretched), 3))
    rows.append(_most("a prefix seen before: first token, x the first time", Spread.of(spared), 0.25))
    return Table("bars", "The bars", _COLUMNS, rows)


def _race(race: _Race, case: Mapping[str, Rounds] | None) -> Row:
    measured = None if case is None else better(case, race.peer, "tokens_per_s")
    return {
        "what": f"{race.shape} model, {race.case}: tokens/s, x {race.peer}",
        "measured": measured,
        "bar": f"at least {race.least:g}",
        "verdict": None if measured is None else _verdict(measured.median >= race.least),
    }


def _most(what: str, measured: Spread, most: float) -> Row:
    return {
        "what": what,
        "measured": measured,
        "bar": f"at most {most:g}",
        "verdict": _verdict(measured.median <= most),
    }


def _verdict(met: bool) -> str:
    return "met" if met else "missed"
