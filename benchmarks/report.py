"""What a benchmark found: tables for people, one JSON object for programs, of the same numbers."""

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from io import StringIO

import orjson
from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from benchmarks.spread import Spread

Cell = str | int | float | Spread | None
"""None is what could not be measured here, or has no meaning in this row."""

Row = dict[str, Cell]
"""A table's row: a cell for the key of each column."""

_WIDTH = 120  # columns; a table is as wide as it needs to be, up to this


@dataclass(frozen=True, slots=True)
class Column:
    """`key` names it in the JSON and ends with its unit; `heading` is for people."""

    key: str
    heading: str
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of what was measured beside each other. A row's first cell says what it is."""

    key: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    notes: Sequence[str] = ()

    def data(self) -> list[dict[str, object]]:
        """The rows for JSON."""
        return [{column.key: _plain(row[column.key]) for column in self.columns} for row in self.rows]

    def drawn(self) -> RichTable:
        """The table for a terminal."""
        drawn = RichTable(
            title=self.title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False
        )
        for place, column in enumerate(self.columns):
            drawn.add_column(column.heading, justify="right" if place else "left", no_wrap=not place)
        for row in self.rows:
            drawn.add_row(*(Text(_shown(row[column.key], column)) for column in self.columns))
        return drawn


@dataclass(frozen=True, slots=True)
class Report:
    """One run of one benchmark."""

    benchmark: str
    quick: bool
    tables: Sequence[Table]
    seconds: float

    def json(self) -> str:
        """One JSON object on one line: `tables` by key, each a list of rows."""
        return orjson.dumps(
            {
                "benchmark": self.benchmark,
                "quick": self.quick,
                "seconds": round(self.seconds, 1),
                "machine": _machine(),
                "tables": {table.key: table.data() for table in self.tables},
            }
        ).decode()

    def text(self) -> str:
        """The tables, with the spread of the rounds in parentheses."""
        out = StringIO()
        console = Console(file=out, width=_WIDTH)
        for table in self.tables:
            console.print(table.drawn())
            for note in table.notes:
                console.print(Text(note), style="dim")
            console.print()
        machine = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in _machine().items())
        console.print(Text(f"{machine}; the run took {self.seconds:.0f} s."))
        if self.quick:
            console.print("A quick run: it shows that the benchmark works, not how fast anything is.")
        return out.getvalue().rstrip()


def _machine() -> dict[str, object]:
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 2),
    }


def _plain(cell: Cell) -> object:
    if isinstance(cell, Spread):
        return {name: round(value, 4) for name, value in asdict(cell).items()}
    return round(cell, 4) if isinstance(cell, float) else cell


def _shown(cell: Cell, column: Column) -> str:
    if isinstance(cell, Spread):
        return f"{_number(cell.median)}{column.suffix} ({_number(cell.low)}..{_number(cell.high)})"
    if cell is None:
        return "-"
    if isinstance(cell, int):
        return f"{cell:,}{column.suffix}"  # a count, which is exact
    return cell if isinstance(cell, str) else f"{_number(cell)}{column.suffix}"


def _number(value: float) -> str:
    """Three digits that count, and all before the point."""
    size = abs(value)
    return f"{value:,.{0 if size >= 100 else 1 if size >= 10 else 2}f}"
