"""The tables: each way's numbers, and how many times those of HTTP to a process of its own they are."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from benchmarks.modal.answers import Answer, Turn
from benchmarks.modal.ways import PROCESS
from benchmarks.report import Cell, Column, Row, Table
from benchmarks.spread import Spread, percentile

Turns = Mapping[str, Sequence[Turn]]
"""By way: its turns, in the order of the rounds."""

_WAY = Column("what", "way")


def cold_table(answers: Mapping[str, Sequence[Answer]]) -> Table:
    """The first text of all, by way and round."""
    rows: list[Row] = []
    for name, of_way in answers.items():
        first, peer = [each.first for each in of_way], [each.first for each in answers[PROCESS]]
        rows.append({"what": name, "first_s": Spread.of(first), "first_ratio": Spread.of_ratios(first, peer)})
    return Table(
        "cold",
        f"Cold: nothing runs, {len(answers[PROCESS])} rounds",
        (_WAY, Column("first_s", "first text s"), Column("first_ratio", "x its own process")),
        rows,
        ("From starting the process, or from the request that starts the container.",),
    )


def first_table(turns: Turns) -> Table:
    """Waits for the first text, where all is warm."""
    rows: list[Row] = [
        {
            "what": name,
            "admitted_p50_ms": Spread.of(map(admitted_ms, of_way)),
            "first_p50_ms": Spread.of(map(first_ms, of_way)),
            "first_p99_ms": percentile([answer.first * 1_000 for turn in of_way for answer in turn.answers], 99),
            "first_ratio": _ratio(turns, name, first_ms),
        }
        for name, of_way in turns.items()
    ]
    columns = (
        _WAY,
        Column("admitted_p50_ms", "admitted p50 ms"),
        Column("first_p50_ms", "first text p50 ms"),
        Column("first_p99_ms", "p99 ms"),
        Column("first_ratio", "p50 x"),
    )
    notes = (
        "The p99 is that of all rounds together. Over HTTP the bench admits, as the edge would; a call is admitted in",
        "its container, with one look-up more, and the client knows of it when the first item is there.",
    )
    return Table("first", f"Warm, the first text: {_size(turns)}", columns, rows, notes)


def whole_table(turns: Turns) -> Table:
    """Whole answers, and what came at once of them."""
    rows: list[Row] = [
        {
            "what": name,
            "whole_p50_ms": Spread.of(map(whole_ms, of_way)),
            "whole_ratio": _ratio(turns, name, whole_ms),
            "between_ms": Spread.of(map(between_ms, of_way)),
            "items": _spread(of_way, items),
            "tokens_per_item": _spread(of_way, tokens_per_item),
        }
        for name, of_way in turns.items()
    ]
    columns = (
        _WAY,
        Column("whole_p50_ms", "whole p50 ms"),
        Column("whole_ratio", "x"),
        Column("between_ms", "ms/token after the first"),
        Column("items", "items"),
        Column("tokens_per_item", "tokens/item"),
    )
    notes = (
        "The engine's own time for a token is in all of them alike. Items are those with text; the SDK takes Modal's",
        "apart, which are as those of modal.Cls.",
    )
    return Table("whole", f"Warm, whole answers: {_size(turns)}", columns, rows, notes)


def cpu_table(turns: Turns) -> Table:
    """What a token costs either side."""
    rows: list[Row] = [
        {
            "what": name,
            "client_us": Spread.of(map(client_cpu, of_way)),
            "client_ratio": _ratio(turns, name, client_cpu),
            "server_ms": _spread(of_way, server_cpu),
            "server_ratio": _ratio(turns, name, server_cpu),
        }
        for name, of_way in turns.items()
    ]
    columns = (
        _WAY,
        Column("client_us", "client us/token"),
        Column("client_ratio", "x"),
        Column("server_ms", "server ms/token"),
        Column("server_ratio", "x"),
    )
    notes = (
        "The client is the bench, without the admission that it does over HTTP; the server is the process that has",
        "the engine, and when it is called it admits, too.",
    )
    return Table("cpu", f"Warm, CPU: {_size(turns)}", columns, rows, notes)


def crowd_table(turns: Turns) -> Table:
    """Many streams at once."""
    rows: list[Row] = [
        {
            "what": name,
            "tokens_per_second": Spread.of(map(rate, of_way)),
            "rate_ratio": _ratio(turns, name, rate),
            "first_p50_ms": Spread.of(map(first_ms, of_way)),
            "first_ratio": _ratio(turns, name, first_ms),
            "server_ms": _spread(of_way, server_cpu),
            "tokens_per_item": _spread(of_way, tokens_per_item),
        }
        for name, of_way in turns.items()
    ]
    columns = (
        _WAY,
        Column("tokens_per_second", "tokens/s"),
        Column("rate_ratio", "x"),
        Column("first_p50_ms", "first text p50 ms"),
        Column("first_ratio", "x"),
        Column("server_ms", "server CPU ms/token"),
        Column("tokens_per_item", "tokens/item"),
    )
    notes = ("From the first request to the last end, all admissions and settlements in it.",)
    return Table("crowd", f"At once: {_size(turns)}", columns, rows, notes)


def admitted_ms(turn: Turn) -> float:
    """Until an answer was admitted, as its client knows; the median."""
    return _median(answer.admitted for answer in turn.answers) * 1_000


def first_ms(turn: Turn) -> float:
    """Until the first text of an answer; the median."""
    return _median(answer.first for answer in turn.answers) * 1_000


def whole_ms(turn: Turn) -> float:
    """Until the end of an answer; the median."""
    return _median(answer.whole for answer in turn.answers) * 1_000


def between_ms(turn: Turn) -> float:
    """From the first text to the end, by the tokens after the first; the median. An answer has two at least."""
    return _median((answer.whole - answer.first) / (answer.tokens - 1) for answer in turn.answers) * 1_000


def client_cpu(turn: Turn) -> float:
    """In microseconds a token."""
    return sum(answer.client_cpu for answer in turn.answers) * 1e6 / turn.tokens


def server_cpu(turn: Turn) -> float | None:
    """In milliseconds a token; None where it could not be read."""
    return None if turn.server_cpu is None else turn.server_cpu * 1e3 / turn.tokens


def rate(turn: Turn) -> float:
    """Tokens a second, of all answers together."""
    return turn.tokens / turn.seconds


def items(turn: Turn) -> float | None:
    """Of an answer, in the mean; None where the way does not say."""
    counted = [answer.items for answer in turn.answers if answer.items is not None]
    return sum(counted) / len(counted) if counted else None


def tokens_per_item(turn: Turn) -> float | None:
    """In the mean; None where the way does not say."""
    counted = items(turn)
    return None if counted is None else turn.tokens / len(turn.answers) / counted


def _size(turns: Turns) -> str:
    of_way = turns[PROCESS]
    answers = of_way[0].answers
    return f"{len(of_way)} rounds of {len(answers)} answers of {answers[0].tokens} tokens"


def _median(values: Iterable[float]) -> float:
    return percentile(list(values), 50)


def _spread(turns: Iterable[Turn], of: Callable[[Turn], float | None]) -> Spread | None:
    values = [of(turn) for turn in turns]
    known = [value for value in values if value is not None]
    return Spread.of(known) if len(known) == len(values) else None


def _ratio(turns: Turns, name: str, of: Callable[[Turn], float | None]) -> Cell:
    pairs = [(of(mine), of(its)) for mine, its in zip(turns[name], turns[PROCESS], strict=True)]
    ratios = [mine / its for mine, its in pairs if mine is not None and its]
    return Spread.of(ratios) if len(ratios) == len(pairs) else None
