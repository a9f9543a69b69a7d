"""The tables of docs/cost.md, in Markdown."""

from collections.abc import Mapping, Sequence

from benchmarks.cost import prices
from benchmarks.cost.edge import MEMORY_MB, Lines, Stream, direct, relayed, snapshot_month
from benchmarks.cost.gpu import CONTAINERS
from benchmarks.ledger.cost import PRICES as DYNAMODB

STREAMS = (Stream(1), Stream(10), Stream(60))
WAYS = {"relay": relayed, "direct": direct}

_CASES = [(lines, stream) for lines in WAYS.values() for stream in STREAMS]
_HEADS = [f"{way}, {stream.seconds} s" for way in WAYS for stream in STREAMS]


def tables() -> Mapping[str, str]:
    """Each table of the page by what it is about."""
    return {"edge": _edge(), "gpu": _gpu(), "share": _share(), "idle": _idle()}


def _edge() -> str:
    """A million requests at the edge."""
    columns = [lines(stream) for lines, stream in _CASES]
    rows = [[name, *(_dollars(column.get(name, 0.0)) for column in columns)] for name in columns[0]]
    total = ["**all**", *(f"**{_dollars(sum(column.values()))}**" for column in columns)]
    return _table(["$ a million requests", *_HEADS], [*rows, total])


def _gpu() -> str:
    """A million requests at Modal."""
    heads = ["GPU", "$ a second", "tokens/s", "$ a million tokens", *(f"{stream.seconds} s" for stream in STREAMS)]
    rows = [
        [
            container.gpu,
            f"{container.second:.6f}",
            f"{container.tokens_per_s:,}",
            f"{container.million_tokens:.2f}",
            *(_dollars(container.million_requests(stream)) for stream in STREAMS),
        ]
        for container in CONTAINERS
    ]
    return _table(heads, rows)


def _share() -> str:
    """The edge's share of the whole."""
    rows = []
    for container in CONTAINERS:
        shares = [_percent(lines(stream), container.million_requests(stream)) for lines, stream in _CASES]
        rows.append([f"with {container.gpu}", *shares])
    return _table(["the edge's share of the whole", *_HEADS], rows)


def _idle() -> str:
    """A month without a request."""
    month = {
        f"SnapStart of `edge`, each version that is kept ({MEMORY_MB} MB)": snapshot_month(),
        "an alarm, for each metric that it watches (the first ten of an account are free)": prices.ALARM,
        "a GB in the table, with point-in-time recovery": DYNAMODB.storage + prices.RECOVERY_GB,
        "`waf`: the web ACL; each rule in it is $1.00 more": prices.WAF_ACL,
        "a secret of Secrets Manager, instead of a parameter, which is free": prices.SECRET,
    }
    return _table(["what", "$ a month"], [[what, f"{dollars:.2f}"] for what, dollars in month.items()])


def _percent(edge: Lines, gpu: float) -> str:
    """The edge's share of both."""
    dollars = sum(edge.values())
    return f"{100 * dollars / (dollars + gpu):.0f} %"


def _dollars(amount: float) -> str:
    """Cents, until there are enough dollars."""
    return f"{amount:.2f}" if amount < 100 else f"{amount:,.0f}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(cells)} |" for cells in (heads, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(heads), *lines[1:], ""])
