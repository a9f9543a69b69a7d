"""How far a pull of weights is: a bar on a terminal, a line now and then elsewhere."""

import sys
from collections.abc import Iterable, Iterator

import typer

from penstock.weights import Progress

_EVERY = 10  # percent between two lines
_DOING = {
    "waiting": "waiting for another pull",
    "fetching": "fetching",
    "checking": "comparing checksums",
    "sending": "sending",
    "done": "done",
}


def show(steps: Iterable[Progress]) -> None:
    """Follow a pull to its end."""
    if sys.stderr.isatty():
        _bar(steps)
    else:
        for line in lines(steps):
            typer.echo(line, err=True)


def lines(steps: Iterable[Progress]) -> Iterator[str]:
    """A line at each new step, and at every tenth of it."""
    last = ("", -1)
    for step in steps:
        percent = 100 * step["done"] // step["total"] if step["total"] else 0
        now = (step["step"], percent // _EVERY)
        if now != last:
            last = now
            of = f" {percent} % of {size(step['total'])}" if step["total"] else ""
            yield f"{_DOING[step['step']]}{of}"


def size(count: int) -> str:
    """Bytes, as people read them."""
    number = float(count)
    for unit in ("B", "kB", "MB"):
        if number < 1_000:
            return f"{number:.3g} {unit}"
        number /= 1_000
    return f"{number:,.1f} GB"


def _bar(steps: Iterable[Progress]) -> None:
    from rich.console import Console  # noqa: PLC0415 (only where there is a terminal)
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn  # noqa: PLC0415
    from rich.progress import Progress as Bar  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Bar(*columns, TransferSpeedColumn(), TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task, doing = bar.add_task("", total=None), ""
        for step in steps:
            if step["step"] != doing:
                doing = step["step"]
                bar.reset(task, description=_DOING[doing])
            bar.update(task, completed=step["done"], total=step["total"] or None)
