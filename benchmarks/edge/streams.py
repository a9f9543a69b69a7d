"""Many streams at once through the relay, beside as many directly from the stub upstream.

Delays come from one clock, read when the upstream sends a chunk and when the client has it, so they hold the
client's own queue too: on both sides, and so not in what the relay added.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.edge.load import Load, Outcome, run
from benchmarks.edge.rig import Rig
from benchmarks.edge.servers import Server, edge
from benchmarks.report import Column, Row, Table
from benchmarks.spread import Spread, percentile

_PACES = {
    "even": "opened one after another, each in a phase of its own",
    "together": "opened at once, all chunks at the same moments",
}
_MEASURES: dict[str, Callable[[Outcome], float | None]] = {
    "delay_p50_ms": lambda outcome: percentile(outcome.delay_ms, 50),
    "delay_p99_ms": lambda outcome: percentile(outcome.delay_ms, 99),
    "first_p50_ms": lambda outcome: percentile(outcome.first_chunk_ms, 50),
    "first_p99_ms": lambda outcome: percentile(outcome.first_chunk_ms, 99),
    "cpu_us_per_chunk": lambda outcome: outcome.cpu_us_per_chunk,
    "busy_percent": lambda outcome: outcome.busy_percent,
}
_COLUMNS = (
    Column("delay_p50_ms", "delay p50 ms"),
    Column("delay_p99_ms", "p99 ms"),
    Column("first_p50_ms", "first p50 ms"),
    Column("first_p99_ms", "p99 ms"),
    Column("cpu_us_per_chunk", "CPU us/chunk"),
    Column("busy_percent", "busy", "%"),
)
_MIB, _KIB = 1 << 20, 1 << 10


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    streams: int
    chunks: int
    interval: float  # seconds
    opening: float  # seconds over which streams of an even pace are opened
    rounds: int

    def load(self, pace: str) -> Load:
        """The load of one run."""
        return Load(self.streams, self.chunks, self.interval, pace, self.opening if pace == "even" else 0)


class _Measurement:
    """The rounds of direct and relayed streams, by pace, and the edge's memory."""

    def __init__(self, rig: Rig, upstream: Server, edge: Server, size: Size) -> None:
        self._rig = rig
        self._servers = {"direct": upstream, "relay": edge}
        self._size = size
        self.outcomes: defaultdict[tuple[str, str], list[Outcome]] = defaultdict(list)
        self.resident: dict[str, int | None] = {}

    def run(self) -> None:
        for pace in _PACES:
            for way in self._servers:
                self._once(way, Load(streams=4, chunks=4, interval=0.02, pace=pace, opening=0))
        self.resident["before"] = self._resident()
        for number in range(self._size.rounds):
            for pace in _PACES:
                for way in self._servers if number % 2 else reversed(self._servers):
                    self.outcomes[pace, way].append(self._once(way, self._size.load(pace)))
        self.resident["open"] = self._most_open()
        self.resident["after"] = self._resident()

    def _once(self, way: str, load: Load) -> Outcome:
        server = self._servers[way]
        outcome = asyncio.run(run(load, server.url, self._rig.api_key, server.process.consumption))
        self._rig.close_leases()
        return outcome

    def _resident(self) -> int | None:
        now = self._servers["relay"].process.consumption()
        return None if now is None else now.resident

    def _most_open(self) -> int | None:
        relayed = [outcome for (_, way), outcomes in self.outcomes.items() if way == "relay" for outcome in outcomes]
        return max((outcome.first_end.resident for outcome in relayed if outcome.first_end), default=None)


def measure_streams(rig: Rig, upstream: Server, size: Size) -> list[Table]:
    """A table for each pace, and one of the edge's memory."""
    with edge(rig, upstream.url) as relay:
        measurement = _Measurement(rig, upstream, relay, size)
        measurement.run()
    return [
        *(_table(pace, title, size, measurement) for pace, title in _PACES.items()),
        _memory(measurement.resident, size.streams),
    ]


def _table(pace: str, title: str, size: Size, measurement: _Measurement) -> Table:
    direct, relay = measurement.outcomes[pace, "direct"], measurement.outcomes[pace, "relay"]
    rows = [_row("direct", direct), _row("relayed", relay), _added("added", direct, relay)]
    size_of_it = f"{size.streams} streams of {size.chunks} chunks, one every {size.interval * 1_000:g} ms"
    return Table(
        f"streams_{pace}",
        f"{size_of_it}, {size.rounds} rounds; {title}",
        (Column("what", "streams"), *_COLUMNS),
        rows,
        ("CPU and busy (of one core) are those of the process that the client speaks to.",),
    )


def _row(what: str, outcomes: list[Outcome]) -> Row:
    return {"what": what} | {
        key: _spread([measure(outcome) for outcome in outcomes]) for key, measure in _MEASURES.items()
    }


def _added(what: str, direct: list[Outcome], relay: list[Outcome]) -> Row:
    row: Row = {"what": what} | dict.fromkeys(_MEASURES)
    for key in ("delay_p50_ms", "delay_p99_ms", "first_p50_ms", "first_p99_ms"):
        measure = _MEASURES[key]
        pairs = [(measure(mine), measure(its)) for mine, its in zip(relay, direct, strict=True)]
        row[key] = _spread([None if mine is None or its is None else mine - its for mine, its in pairs])
    return row


def _spread(values: list[float | None]) -> Spread | None:
    known = [value for value in values if value is not None]
    return Spread.of(known) if len(known) == len(values) else None


def _memory(resident: dict[str, int | None], streams: int) -> Table:
    before, titles = (
        resident["before"],
        {
            "before": "idle, after the first few requests",
            "open": f"{streams} streams open, the most of all rounds",
            "after": "idle again, after all rounds",
        },
    )
    rows: list[Row] = []
    for key, title in titles.items():
        bytes_now = resident[key]
        more = None if bytes_now is None or before is None or key == "before" else bytes_now - before
        rows.append(
            {
                "what": title,
                "resident_mib": None if bytes_now is None else bytes_now / _MIB,
                "per_stream_kib": None if more is None else more / streams / _KIB,
            }
        )
    columns = (
        Column("what", "when"),
        Column("resident_mib", "MiB"),
        Column("per_stream_kib", "KiB more, per stream"),
    )
    return Table("memory", "Memory of the edge process", columns, rows)
