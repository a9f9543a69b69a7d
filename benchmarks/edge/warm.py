"""A warm request: how long the handler takes beside a bare echo, where the time goes, and what its parts cost alone."""

from dataclasses import dataclass

import orjson

from benchmarks.child import child
from benchmarks.edge.rig import Rig
from benchmarks.edge.servers import Server
from benchmarks.report import Column, Row, Table
from benchmarks.spread import Spread

_PATIENCE = 300.0  # seconds for the process that invokes the handler
_HANDLERS = {
    "echo": "fastapi + mangum echo",
    "models": "GET /v1/models",
    "chat": "POST /v1/chat/completions",
}
_PARTS = {
    "authenticate": "authenticate (reads the ledger)",
    "validate": "validate",
    "admit": "admit (writes the ledger)",
    "dispatch": "dispatch (waits for the upstream)",
    "rest": "the rest (Mangum, FastAPI, log line)",
}
_ALONE = {
    "look-up": "ledger: look a key and its account up",
    "reserve": "ledger: reserve",
    "flush": "disk: write and flush 12 KiB",
    "upstream": "upstream: ask it with aiohttp",
}


@dataclass(frozen=True, slots=True)
class Invocations:
    """Microseconds by subject: a round's median wall time, and its mean CPU time. By part: wall time."""

    wall: dict[str, list[float]]
    cpu: dict[str, list[float]]
    parts: dict[str, list[float]]


def measure_warm(rig: Rig, upstream: Server, rounds: int, requests: int) -> list[Table]:
    """The three tables, from one process in which all of it took turns."""
    taken = _invoke(rig, upstream, rounds, requests)
    return [_warm(taken, f"{rounds} rounds of {requests} requests"), _split(taken), _alone(taken)]


def _invoke(rig: Rig, upstream: Server, rounds: int, requests: int) -> Invocations:
    result = rig.directory / "invocations.json"
    arguments = [*map(str, (rounds, requests)), upstream.url, rig.api_key, str(result)]
    with child(
        "process that invokes the handler",
        ["-m", "benchmarks.edge.invocations", *arguments],
        log=rig.directory / "invocations.log",
        environment=rig.environment(upstream.url),
    ) as process:
        process.wait(_PATIENCE)
    data = orjson.loads(result.read_bytes())
    subjects = data["subjects"]
    return Invocations(
        wall={name: times["wall"] for name, times in subjects.items()},
        cpu={name: times["cpu"] for name, times in subjects.items()},
        parts=data["parts"],
    )


def _warm(taken: Invocations, size: str) -> Table:
    columns = (
        Column("what", "one invocation"),
        Column("wall_us", "wall us"),
        Column("wall_ratio", "x echo"),
        Column("cpu_us", "CPU us"),
        Column("cpu_ratio", "x echo"),
    )
    rows: list[Row] = [
        {
            "what": title,
            "wall_us": Spread.of(taken.wall[name]),
            "wall_ratio": Spread.of_ratios(taken.wall[name], taken.wall["echo"]),
            "cpu_us": Spread.of(taken.cpu[name]),
            "cpu_ratio": Spread.of_ratios(taken.cpu[name], taken.cpu["echo"]),
        }
        for name, title in _HANDLERS.items()
    ]
    note = "The echo has no key, no limits and no upstream. GET /v1/models passes one policy, the chat all four."
    return Table("warm", f"Warm request: {size}, one at a time", columns, rows, (note,))


def _split(taken: Invocations) -> Table:
    whole = taken.wall["timed chat"]
    parts = {title: taken.parts[name] for name, title in _PARTS.items()} | {"the whole, with the clocks in it": whole}
    rows: list[Row] = [
        {"what": title, "wall_us": Spread.of(times), "percent": Spread.of_ratios([100 * us for us in times], whole)}
        for title, times in parts.items()
    ]
    columns = (
        Column("what", "part of a chat completion"),
        Column("wall_us", "wall us"),
        Column("percent", "of it", "%"),
    )
    return Table("split", "Where a warm request's time goes", columns, rows)


def _alone(taken: Invocations) -> Table:
    rows: list[Row] = [
        {"what": title, "wall_us": Spread.of(taken.wall[name]), "cpu_us": Spread.of(taken.cpu[name])}
        for name, title in _ALONE.items()
    ]
    columns = (Column("what", "by itself"), Column("wall_us", "wall us"), Column("cpu_us", "CPU us"))
    return Table("alone", "What the parts do, done without the edge", columns, rows)
