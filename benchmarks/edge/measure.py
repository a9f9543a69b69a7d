"""The whole benchmark: warm requests, streams, beside LiteLLM's proxy, one after the other and never at once."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.edge.proxies import Case, Contest, measure_proxies
from benchmarks.edge.rig import rig
from benchmarks.edge.servers import upstream
from benchmarks.edge.streams import Size, measure_streams
from benchmarks.edge.warm import measure_warm
from benchmarks.report import Report


@dataclass(frozen=True, slots=True)
class _Plan:
    rounds: int
    requests: int  # of each subject in a round
    streams: Size
    contest: Contest


_CASES = (
    *(Case(connections, model) for model in ("stub", "slow") for connections in (100, 500, 1_000)),
    Case(100, stream=True),
)
_FULL = _Plan(
    rounds=7,
    requests=40,
    streams=Size(200, 50, 0.05, 2.0, rounds=3),
    contest=Contest(_CASES, rounds=2, seconds=5.0, beside_litellm=True),
)
_QUICK = _Plan(
    rounds=1,
    requests=3,
    streams=Size(4, 6, 0.02, 0.1, rounds=1),
    contest=Contest((Case(4), Case(4, stream=True)), rounds=1, seconds=0.3, beside_litellm=False),
)


def measure(quick: bool, say: Callable[[str], None]) -> Report:
    """Measure the edge. `say` is told what goes on. Raises BenchmarkFailed."""
    plan, begun = _QUICK if quick else _FULL, time.monotonic()
    with rig() as bench, upstream(bench) as stub:
        say("warm requests ...")
        tables = measure_warm(bench, stub, plan.rounds, plan.requests)
        say("streams ...")
        tables += measure_streams(bench, stub, plan.streams)
        say("beside LiteLLM's proxy ...")
        tables.append(measure_proxies(bench, stub, plan.contest, say))
    return Report("edge", quick, tables, time.monotonic() - begun)
