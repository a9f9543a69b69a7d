"""The whole benchmark: cold, warm, streams, one after the other and never at once."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.edge.cold import measure_cold
from benchmarks.edge.rig import rig
from benchmarks.edge.servers import upstream
from benchmarks.edge.streams import Size, measure_streams
from benchmarks.edge.warm import measure_warm
from benchmarks.report import Report


@dataclass(frozen=True, slots=True)
class _Plan:
    processes: int  # of each kind, for the cold start
    rounds: int
    requests: int  # of each subject in a round
    streams: Size


_FULL = _Plan(processes=5, rounds=7, requests=40, streams=Size(200, 50, 0.05, 2.0, rounds=3))
_QUICK = _Plan(processes=1, rounds=1, requests=3, streams=Size(4, 6, 0.02, 0.1, rounds=1))


def measure(quick: bool, say: Callable[[str], None]) -> Report:
    """Measure the edge. `say` is told what goes on. Raises BenchmarkFailed."""
    plan, begun = _QUICK if quick else _FULL, time.monotonic()
    with rig() as bench, upstream(bench) as stub:
        say("cold start ...")
        tables = [measure_cold(bench.environment(stub.url), plan.processes)]
        say("warm requests ...")
        tables += measure_warm(bench, stub, plan.rounds, plan.requests)
        say("streams ...")
        tables += measure_streams(bench, stub, plan.streams)
    return Report("edge", quick, tables, time.monotonic() - begun)
