"""Requests a second, waits, CPU time and memory of the edge beside LiteLLM's proxy, in front of the same stub model.

One process each, the same client, the same requests, by turns. The client asks the stub directly as well: what it
gets there is the most that client and stub can do on this machine, and no server can do more.
"""

import asyncio
import resource
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import orjson

from benchmarks.edge.crowd import Crowd, Seen, ask
from benchmarks.edge.events import CHAT
from benchmarks.edge.litellm.proxy import install, litellm
from benchmarks.edge.rig import Rig
from benchmarks.edge.servers import Server, edge
from benchmarks.failure import BenchmarkFailed
from benchmarks.report import Cell, Column, Row, Table
from benchmarks.spread import Spread

_STUB, _OURS, _THEIRS = "the stub itself", "Penstock", "LiteLLM"
_DESCRIPTORS = 8_192  # 1,000 connections on both sides of a server, and to spare
_COLUMNS = (
    Column("what", "connections: asked"),
    Column("per_second", "requests/s"),
    Column("p50_ms", "p50 ms"),
    Column("p99_ms", "p99 ms"),
    Column("cpu_ms", "CPU ms"),
    Column("resident_mib", "MiB"),
    Column("failed", "failed"),
    Column("client_percent", "client", "%"),
)
_MEASURES: dict[str, Callable[[Seen], float | None]] = {
    "per_second": lambda seen: seen.per_second,
    "p50_ms": lambda seen: seen.latency(50),
    "p99_ms": lambda seen: seen.latency(99),
    "cpu_ms": lambda seen: seen.cpu_ms,
    "resident_mib": lambda seen: None if seen.resident is None else seen.resident / (1 << 20),
}
_STEADY = ("cpu_ms", "resident_mib")  # the median alone is shown: a table has no room for every spread


@dataclass(frozen=True, slots=True)
class Case:
    """What a crowd asks."""

    connections: int
    model: str = "stub"
    stream: bool = False

    @property
    def title(self) -> str:
        """What the table calls it."""
        return f"{self.connections:,}" + (", 1 s model" if self.model == "slow" else ", streams" if self.stream else "")

    def crowd(self, seconds: float) -> Crowd:
        """The crowd, measured for so long."""
        body = orjson.loads(CHAT) | {"model": self.model, "stream": self.stream}
        return Crowd(self.connections, orjson.dumps(body), seconds)


@dataclass(frozen=True, slots=True)
class Contest:
    """How much is measured, and whether beside LiteLLM's proxy, which may have to be installed for it."""

    cases: Sequence[Case]
    rounds: int
    seconds: float
    beside_litellm: bool


def measure_proxies(rig: Rig, upstream: Server, contest: Contest, say: Callable[[str], None]) -> Table:
    """The table. Where LiteLLM's proxy cannot be had, its rows are empty and a note says why."""
    _raise_descriptors()
    why_not = install() if contest.beside_litellm else None
    with ExitStack() as stack:
        asked = {_STUB: (upstream, ""), _OURS: (stack.enter_context(edge(rig, upstream.url)), rig.api_key)}
        if contest.beside_litellm and why_not is None:
            try:
                asked[_THEIRS] = stack.enter_context(litellm(rig, upstream.url))
            except BenchmarkFailed as error:
                why_not = str(error)
        seen = _Turns(rig, asked, contest, say).run()
    return table(seen, contest, why_not)


def table(seen: Mapping[tuple[Case, str], Sequence[Seen]], contest: Contest, why_not: str | None = None) -> Table:
    """What was seen in each case of each that was asked. `why_not`: LiteLLM's proxy could not be had."""
    rows = [row for case in contest.cases for row in _rows(case, seen, contest)]
    title = f"Beside LiteLLM's proxy: {contest.rounds} rounds of {contest.seconds:g} s or more, one process each"
    return Table("proxies", title, _COLUMNS, rows, tuple(_notes(seen, contest, why_not)))


def _raise_descriptors() -> None:
    """Of this process and of those that it starts from now on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < enough:
        resource.setrlimit(resource.RLIMIT_NOFILE, (enough, hard))


@dataclass(frozen=True, slots=True)
class _Turns:
    """Everyone in turn, in every case."""

    rig: Rig
    asked: dict[str, tuple[Server, str]]
    contest: Contest
    say: Callable[[str], None]

    def run(self) -> dict[tuple[Case, str], list[Seen]]:
        seen: defaultdict[tuple[Case, str], list[Seen]] = defaultdict(list)
        for name in self.asked:
            self._turn(name, Case(4).crowd(seconds=self.contest.seconds / 5))  # not counted: the first requests
        for number in range(self.contest.rounds):
            for case in self.contest.cases:
                self.say(f"  round {number + 1}, {case.title} connections ...")
                for name in self.asked if number % 2 else reversed(self.asked):
                    seen[case, name].append(self._turn(name, case.crowd(self.contest.seconds)))
        return seen

    def _turn(self, name: str, crowd: Crowd) -> Seen:
        server, api_key = self.asked[name]
        seen = asyncio.run(ask(crowd, server.url, api_key, server.process.consumption))
        self.rig.close_leases()
        return seen


def _rows(case: Case, seen: Mapping[tuple[Case, str], Sequence[Seen]], contest: Contest) -> Iterator[Row]:
    names = (_STUB, _OURS, _THEIRS) if contest.beside_litellm else (_STUB, _OURS)
    for name in names:
        rounds = seen.get((case, name))
        yield _row(f"{case.title}: {name}", _cells(rounds) if rounds else {})
    if (theirs := seen.get((case, _THEIRS))) is not None:
        yield _row(f"{case.title}: {_OURS} / its", _ratios(seen[case, _OURS], theirs))


def _cells(rounds: Sequence[Seen]) -> Row:
    row: Row = {key: _cell(key, [measure(seen) for seen in rounds]) for key, measure in _MEASURES.items()}
    failed = sum(len(seen.failures) for seen in rounds)
    busy = Spread.of(seen.client_busy_percent for seen in rounds).median
    return row | {"failed": failed, "client_percent": busy}


def _ratios(ours: Sequence[Seen], theirs: Sequence[Seen]) -> Row:
    row: Row = {}
    for key, measure in _MEASURES.items():
        pairs = [(measure(mine), measure(its)) for mine, its in zip(ours, theirs, strict=True)]
        row[key] = _cell(key, [mine / its if mine is not None and its else None for mine, its in pairs])
    return row


def _row(what: str, cells: Row) -> Row:
    """What is not in `cells` was not measured."""
    nothing: Row = dict.fromkeys(column.key for column in _COLUMNS)
    return nothing | {"what": what} | cells


def _cell(key: str, values: Sequence[float | None]) -> Cell:
    """Of every round, or None where one has no value."""
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    return Spread.of(known).median if key in _STEADY else Spread.of(known)


def _notes(seen: Mapping[tuple[Case, str], Sequence[Seen]], contest: Contest, why_not: str | None) -> Iterator[str]:
    yield "CPU is the server's for each request; client is how busy the client kept a core: near 100 % it is the limit."
    if not contest.beside_litellm:
        yield "LiteLLM's proxy is left out of a quick run."
    elif why_not is not None:
        yield f"LiteLLM's proxy was not measured: {why_not}"
    else:
        yield (
            "LiteLLM's proxy has no database here: it checks keys, limits and budgets in memory, and what was spent is "
            "lost when it ends. Penstock writes each reservation to the disk."
        )
    for (case, name), rounds in seen.items():
        for failure in [failure for each in rounds for failure in each.failures][:1]:
            yield f"{case.title}: {name}: the first failure was: {failure}"
