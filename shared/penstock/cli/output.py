"""What commands print: JSON as one object on one line, times in UTC, tables that fit any terminal."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import typer

from penstock.clock import SECOND

_WIDEST = 1_000  # columns


def print_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object."""
    import orjson  # noqa: PLC0415

    typer.echo(orjson.dumps(value).decode())


def iso_time(at: int | None) -> str | None:
    """A time in milliseconds as ISO 8601 in UTC, to the second."""
    if at is None:
        return None
    return datetime.fromtimestamp(at // SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def short_time(at: int | None) -> str:
    """A time in milliseconds as tables show it, in UTC, to the minute."""
    return "" if at is None else datetime.fromtimestamp(at // SECOND, UTC).strftime("%Y-%m-%d %H:%M")


def print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    numbers: Sequence[str] = (),
    total: Sequence[str] = (),
) -> None:
    """Print a table; the columns in `numbers` are aligned right, `total` is a last row set apart."""
    from rich import box  # noqa: PLC0415 (the commands that print JSON need none of it)
    from rich.console import Console  # noqa: PLC0415
    from rich.measure import Measurement  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=box.SIMPLE_HEAD, show_footer=bool(total), pad_edge=False, padding=0)
    for column, foot in zip(columns, total or [""] * len(columns), strict=True):
        justify: Literal["left", "right"] = "right" if column in numbers else "left"
        whole = column in {*numbers, "id", "key", "day"}  # half a number is a wrong one
        table.add_column(column, footer=Text(foot), justify=justify, overflow="fold", no_wrap=whole)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))  # as it is: a key's name is not markup
    console = Console()
    size = Measurement.get(console, console.options.update(width=_WIDEST), table)
    # In a pipe or a file as wide as it needs; on a narrow terminal it runs over rather than cut a figure.
    width = max(console.width, size.minimum) if console.is_terminal else size.maximum
    Console(width=width).print(table)
