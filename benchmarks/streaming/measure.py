"""The whole benchmark: chunks, small requests and memory, on both ways by turns."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from benchmarks.edge.load import Load
from benchmarks.edge.rig import Rig, rig
from benchmarks.edge.servers import edge, upstream
from benchmarks.report import Column, Report, Row, Table
from benchmarks.spread import Spread, percentile
from benchmarks.streaming.ways import Way, ways

PEER, OURS = "uvicorn", "streaming.py"
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class _Plan:
    rounds: int
    streams: int  # of each way in a round, one at a time
    chunks: int
    interval: float  # seconds
    requests: int  # small ones, of each way in a round
    warm: int  # streams before memory is read
    more: int  # and until it is read again

    def load(self, chunks: int, interval: float) -> Load:
        return Load(streams=1, chunks=chunks, interval=interval, pace="even", opening=0)


_FULL = _Plan(rounds=5, streams=4, chunks=50, interval=0.02, requests=200, warm=200, more=1_000)
_QUICK = _Plan(rounds=1, streams=1, chunks=4, interval=0.01, requests=3, warm=2, more=3)


@dataclass(slots=True)
class _Turns:
    """What each way's turns took, one number a round."""

    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)  # of the process, per chunk or request


def measure(quick: bool, say: Callable[[str], None]) -> Report:
    """Measure the streaming runtime. `say` is told what goes on. Raises BenchmarkFailed."""
    plan, begun = _QUICK if quick else _FULL, time.monotonic()
    with rig() as bench, upstream(bench) as stub, edge(bench, stub.url) as relay:

        async def run() -> list[Table]:
            async with ways(bench, relay, stub) as both:
                return await _measure(bench, both, plan, say)

        tables = asyncio.run(run())
    return Report("streaming", quick, tables, time.monotonic() - begun)


async def _measure(bench: Rig, both: dict[str, Way], plan: _Plan, say: Callable[[str], None]) -> list[Table]:
    for way in both.values():
        await way.stream(plan.load(4, 0.01))
        await way.small()
    say("chunks ...")
    chunks = await _by_turns(both, plan.rounds, lambda way, turns: _stream(way, turns, plan))
    await asyncio.to_thread(bench.close_leases)
    say("small requests ...")
    small = await _by_turns(both, plan.rounds, lambda way, turns: _ask(way, turns, plan.requests))
    say("memory ...")
    warm = await _resident_after(both, plan, plan.warm)
    await asyncio.to_thread(bench.close_leases)
    later = await _resident_after(both, plan, plan.more)
    return [_chunks(chunks, plan), _small(small, plan), _memory(warm, later, plan)]


async def _by_turns(
    both: dict[str, Way], rounds: int, turn: Callable[[Way, _Turns], Awaitable[None]]
) -> dict[str, _Turns]:
    taken: defaultdict[str, _Turns] = defaultdict(_Turns)
    for number in range(rounds):
        for name in both if number % 2 else reversed(both):
            await turn(both[name], taken[name])
    return taken


async def _stream(way: Way, turns: _Turns, plan: _Plan) -> None:
    before = way.process.consumption()
    streams = [await way.stream(plan.load(plan.chunks, plan.interval)) for _ in range(plan.streams)]
    after = way.process.consumption()
    delays = [delay for stream in streams for delay in stream.delays_ms]
    turns.p50.append(percentile(delays, 50))
    turns.p99.append(percentile(delays, 99))
    turns.first.append(percentile([stream.first_ms for stream in streams], 50))
    if before and after:
        turns.cpu_us.append((after.cpu - before.cpu) * 1e6 / (plan.streams * plan.chunks))


async def _ask(way: Way, turns: _Turns, requests: int) -> None:
    before = way.process.consumption()
    taken = []
    for _ in range(requests):
        begun = time.perf_counter()
        await way.small()
        taken.append((time.perf_counter() - begun) * 1e3)
    after = way.process.consumption()
    turns.p50.append(percentile(taken, 50))
    turns.p99.append(percentile(taken, 99))
    if before and after:
        turns.cpu_us.append((after.cpu - before.cpu) * 1e6 / requests)


async def _resident_after(both: dict[str, Way], plan: _Plan, streams: int) -> dict[str, int | None]:
    resident: dict[str, int | None] = {}
    for name, way in both.items():
        for _ in range(streams):
            await way.stream(plan.load(2, 0.001))
        now = way.process.consumption()
        resident[name] = None if now is None else now.resident
    return resident


def _chunks(taken: dict[str, _Turns], plan: _Plan) -> Table:
    columns = (
        *(Column("what", "way"), Column("delay_p50_ms", "delay p50 ms"), Column("delay_p99_ms", "p99 ms")),
        *(Column("first_p50_ms", "first chunk p50 ms"), Column("cpu_us_per_chunk", "CPU us/chunk")),
    )
    rows = [_row(name, taken[name]) for name in (PEER, OURS)]
    ours, peer = taken[OURS], taken[PEER]
    added: Row = {
        "what": "added",
        "delay_p50_ms": _difference(ours.p50, peer.p50),
        "delay_p99_ms": _difference(ours.p99, peer.p99),
        "first_p50_ms": _difference(ours.first, peer.first),
        "cpu_us_per_chunk": _difference(ours.cpu_us, peer.cpu_us),
    }
    title = f"{plan.streams} streams of {plan.chunks} chunks, one every {plan.interval * 1_000:g} ms, one at a time"
    note = "Bar: the added delay is at most 5 ms at p50. A delay is from the upstream's sending to the arrival here."
    return Table("chunks", f"{title}, {plan.rounds} rounds", columns, [*rows, added], (note,))


def _row(name: str, turns: _Turns) -> Row:
    return {
        "what": name,
        "delay_p50_ms": Spread.of(turns.p50),
        "delay_p99_ms": Spread.of(turns.p99),
        "first_p50_ms": Spread.of(turns.first),
        "cpu_us_per_chunk": Spread.of(turns.cpu_us) if turns.cpu_us else None,
    }


def _difference(mine: list[float], its: list[float]) -> Spread | None:
    return Spread.of(one - other for one, other in zip(mine, its, strict=True)) if mine and its else None


def _small(taken: dict[str, _Turns], plan: _Plan) -> Table:
    columns = (
        *(Column("what", "way"), Column("p50_ms", "p50 ms"), Column("ratio", "x uvicorn"), Column("p99_ms", "p99 ms")),
        Column("cpu_us", "CPU us"),
    )
    rows: list[Row] = [
        {
            "what": name,
            "p50_ms": Spread.of(taken[name].p50),
            "ratio": Spread.of_ratios(taken[name].p50, taken[PEER].p50),
            "p99_ms": Spread.of(taken[name].p99),
            "cpu_us": Spread.of(taken[name].cpu_us) if taken[name].cpu_us else None,
        }
        for name in (PEER, OURS)
    ]
    title = f"GET /v1/models, one at a time: {plan.rounds} rounds of {plan.requests} requests"
    return Table("small", title, columns, rows)


def _memory(warm: dict[str, int | None], later: dict[str, int | None], plan: _Plan) -> Table:
    columns = (
        *(Column("what", "way"), Column("warm_mib", f"after {plan.warm:,} streams, MiB")),
        *(Column("later_mib", f"after {plan.more:,} more"), Column("grown_mib", "grown by")),
    )
    rows: list[Row] = []
    for name in (PEER, OURS):
        before, after = warm[name], later[name]
        known = before is not None and after is not None
        rows.append(
            {
                "what": name,
                "warm_mib": None if before is None else before / _MIB,
                "later_mib": None if after is None else after / _MIB,
                "grown_mib": (after - before) / _MIB if known else None,  # type: ignore[operator]
            }
        )
    return Table("memory", "Memory of the process", columns, rows)
