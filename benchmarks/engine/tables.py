"""The tables of a run, from what its processes measured."""

from collections.abc import Mapping, Sequence

from benchmarks.engine.plan import OURS, Alone, Case, Contest
from benchmarks.engine.timeline import MEASURES
from benchmarks.report import Column, Row, Table
from benchmarks.spread import Spread

_HEADINGS = ("tokens/s", "first p50 ms", "p99 ms", "between p50 ms", "p99 ms")
_RATIO_HEADINGS = ("tokens/s", "first p50", "p99", "between p50", "p99")
_PHASES = ("plan", "forward", "sample", "emit")
Rounds = Sequence[Mapping[str, float | None]]


def contest_tables(contest: Contest, measured: Mapping[str, Mapping[str, Rounds]], threads: str) -> list[Table]:
    """What everyone did, and how many times better ours was."""
    everyone = [(case, name) for case in contest.cases for name in case.contenders]
    numbers = [
        _row(case, name, [_spread(measured[case.title][name], key) for key in MEASURES]) for case, name in everyone
    ]
    ratios = [
        _row(case, name, [better(measured[case.title], name, key) for key in MEASURES])
        for case, name in everyone
        if name != OURS
    ]
    sizes = [_size(case) for case in contest.cases]
    return [
        Table(
            f"{contest.shape}_numbers",
            f"{contest.shape} model, float32, greedy, torch threads: {threads}",
            _columns(MEASURES, _HEADINGS),
            numbers,
            (*sizes, "first: from the crowd's arrival; between: from one token of a request to its next."),
        ),
        Table(
            f"{contest.shape}_ratios",
            f"{contest.shape} model: how many times better our engine is",
            _columns([key.removesuffix("_ms") for key in MEASURES], _RATIO_HEADINGS),
            [{key.removesuffix("_ms"): cell for key, cell in row.items()} for row in ratios],
            ("Tokens/s: ours by theirs. Waits: theirs by ours.",),
        ),
    ]


def better(case: Mapping[str, Rounds], name: str, key: str) -> Spread | None:
    """How many times better ours is, round by round; None where there is nothing to compare."""
    ours, theirs = _values(case[OURS], key), _values(case[name], key)
    if ours is None or theirs is None:
        return None
    return Spread.of_ratios(ours, theirs) if key == "tokens_per_s" else Spread.of_ratios(theirs, ours)


def step_table(size: Alone, alone: Mapping[str, Sequence[Mapping[str, float]]]) -> Table:
    """Where a decoding step's time goes."""
    titles = {"greedy": "greedy", "full": "temperature, top_p, top_k, three penalties"}
    rows: list[Row] = [
        {
            "what": title,
            **{f"{phase}_ms": Spread.of(step[phase] for step in alone[name]) for phase in _PHASES},
            "share_percent": share(alone[name]),
        }
        for name, title in titles.items()
    ]
    columns = (
        Column("what", "every row is sampled with"),
        *(Column(f"{phase}_ms", f"{phase} ms") for phase in _PHASES),
        Column("share_percent", "not forward", "%"),
    )
    return Table("step", f"A step that decodes {size.rows} rows, {size.shape} model", columns, rows)


def share(steps: Sequence[Mapping[str, float]]) -> Spread:
    """What is not the model's forward pass, in percent of the step."""
    return Spread.of(100 - 100 * step["forward"] / sum(step[phase] for phase in _PHASES) for step in steps)


def joining_table(size: Alone, alone: Mapping[str, Sequence[Mapping[str, float]]]) -> Table:
    """What a long prompt does to its neighbours, and they to it."""
    rounds = alone["joining"]
    before = [one["before_p50_ms"] for one in rounds]
    first = [one["first_alone_ms"] for one in rounds]
    titles = {
        "before_p50_ms": ("between tokens of the others, before: p50", before),
        "during_p50_ms": ("while it is read: p50", before),
        "during_p99_ms": ("while it is read: p99", before),
        "first_alone_ms": ("its first token, alone", first),
        "first_joined_ms": ("its first token, among the others", first),
    }
    rows: list[Row] = [
        {"what": title, "ms": Spread.of(values), "ratio": Spread.of_ratios(values, peer)}
        for key, (title, peer) in titles.items()
        for values in [[one[key] for one in rounds]]
    ]
    columns = (Column("what", "what"), Column("ms", "ms"), Column("ratio", "x before, x alone"))
    title = f"A prompt of {size.joining:,} tokens joins {size.neighbours} that decode, {size.shape} model"
    return Table("joining", title, columns, rows)


def prefix_table(size: Alone, alone: Mapping[str, Sequence[Mapping[str, float]]]) -> Table:
    """What it spares to have asked the same beginning before."""
    rounds = alone["prefix"]
    titles = {
        "first": "a prompt never seen",
        "again": "the same beginning, of the same owner",
        "another": "the same beginning, of another owner",
    }
    rows: list[Row] = [
        {
            "what": title,
            "first_ms": Spread.of(one[key] for one in rounds),
            "ratio": Spread.of_ratios([one[key] for one in rounds], [one["first"] for one in rounds]),
        }
        for key, title in titles.items()
    ]
    columns = (Column("what", "prompt"), Column("first_ms", "first token ms"), Column("ratio", "x never seen"))
    title = f"Prompts of {size.prefix + size.tail:,} tokens, the first {size.prefix:,} the same, {size.shape} model"
    return Table("prefix", title, columns, rows)


def _row(case: Case, name: str, cells: Sequence[Spread | None]) -> Row:
    row: Row = {"what": f"{case.title}: {name}"}
    return row | dict(zip(MEASURES, cells, strict=True))


def _columns(keys: Sequence[str], headings: Sequence[str]) -> tuple[Column, ...]:
    return (Column("what", "requests: served by"), *(map(Column, keys, headings)))


def _values(rounds: Rounds, key: str) -> list[float] | None:
    values = [one[key] for one in rounds]
    known = [value for value in values if value is not None]
    return known if len(known) == len(values) else None


def _spread(rounds: Rounds, key: str) -> Spread | None:
    values = _values(rounds, key)
    return None if values is None else Spread.of(values)


def _size(case: Case) -> str:
    crowds = "" if case.turns == 1 else f", {case.turns} times one after another"
    return (
        f"{case.title}{crowds}: prompts of {case.prompt[0]}-{case.prompt[1]} tokens, "
        f"{case.new[0]}-{case.new[1]} new ones; rounds: {case.rounds}."
    )
