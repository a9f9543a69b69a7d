"""The tables: lines and tokens a second, where a batch's time goes, and what a line costs without its answer."""

from collections.abc import Callable, Mapping, Sequence

from benchmarks.batch.turn import Turn
from benchmarks.report import Cell, Column, Row, Table
from benchmarks.spread import Spread

Turns = Mapping[str, Sequence[Turn]]
"""By way: its turns, in the order of the rounds. The first way is what the others are compared with."""

_WAY = Column("what", "way")


def throughput_table(turns: Turns) -> Table:
    """What came a second, and what it took."""
    peer = next(iter(turns.values()))
    rows: list[Row] = [
        {
            "what": name,
            "lines": of_way[0].lines,
            "lines_per_s": Spread.of(turn.lines_s for turn in of_way),
            "tokens_per_s": Spread.of(turn.tokens_s for turn in of_way),
            "ratio": Spread.of_ratios([turn.lines_s for turn in of_way], [turn.lines_s for turn in peer]),
            "cpu_per_line_ms": _spread(of_way, lambda turn: turn.cpu_ms()),
        }
        for name, of_way in turns.items()
    ]
    columns = (
        _WAY,
        Column("lines", "lines"),
        Column("lines_per_s", "lines/s"),
        Column("tokens_per_s", "tokens/s"),
        Column("ratio", "x 1 worker"),
        Column("cpu_per_line_ms", "CPU ms a line"),
    )
    notes = (
        "From the batch's making to its end, the machine's turns included; workers have their model. Tokens are those",
        "of prompts and answers. CPU is of all processes of Penstock; the one that asks over HTTP is not in it.",
    )
    return Table("throughput", f"The same lines, {len(peer)} rounds", columns, rows, notes)


def steps_table(turns: Turns) -> Table:
    """Where a batch's seconds go."""
    rows: list[Row] = [
        {"what": name, **{f"{step}_s": Spread.of(turn.steps[step] for turn in of_way) for step in of_way[0].steps}}
        for name, of_way in turns.items()
        if of_way[0].steps
    ]
    columns = (
        _WAY,
        Column("validating_s", "validating s"),
        Column("working_s", "working s"),
        Column("joining_s", "joining s"),
    )
    notes = ("A step begins with the machine's next turn, which may be half a second later.",)
    return Table("steps", "Where a batch's time goes", columns, rows, notes)


def overhead_table(turns: Turns) -> Table:
    """What a line costs without its answer."""
    rows: list[Row] = [
        {
            "what": name,
            "lines": of_way[0].lines,
            "lines_per_s": Spread.of(turn.lines / turn.steps["working"] for turn in of_way),
            "worker_cpu_ms": _spread(of_way, lambda turn: turn.cpu_ms("workers")),
            "machine_cpu_ms": _spread(of_way, lambda turn: turn.cpu_ms("machine")),
        }
        for name, of_way in turns.items()
    ]
    columns = (
        _WAY,
        Column("lines", "lines"),
        Column("lines_per_s", "lines/s while working"),
        Column("worker_cpu_ms", "worker: CPU ms a line"),
        Column("machine_cpu_ms", "machine: CPU ms a line"),
    )
    notes = (
        "The worker's is all but the engine and the tokenizer: the app, the log, slices, the ledger. The machine's is",
        "validating, dispatch and joining.",
    )
    return Table("overhead", "An engine that answers at once", columns, rows, notes)


def _spread(turns: Sequence[Turn], number: Callable[[Turn], float | None]) -> Cell:
    numbers = [number(turn) for turn in turns]
    known = [one for one in numbers if one is not None]
    return Spread.of(known) if len(known) == len(numbers) else None
