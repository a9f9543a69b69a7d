"""How far a batch is: a bar on a terminal, with its rate and the time that is left; a line now and then elsewhere."""

import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from types import TracebackType
from typing import Self

import typer

_RECENT = 20.0  # seconds over which the rate is measured: results come in slices
_EVERY = 10  # percent between two lines
_DOING = {"in_progress": "in progress"}


@dataclass(frozen=True, slots=True)
class Progress:
    """A batch at one moment. `lines` is 0 while they are not known."""

    status: str  # OpenAI's word
    lines: int
    completed: int
    failed: int
    tokens: int  # of both kinds, so far

    @property
    def done(self) -> int:
        """The lines that have an answer, or an error."""
        return self.completed + self.failed

    @property
    def doing(self) -> str:
        """The status, as people read it."""
        return _DOING.get(self.status, self.status)


class Rate:
    """Tokens a second of late; None until there are two moments to compare."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._seen: deque[tuple[float, int]] = deque()

    def after(self, tokens: int) -> float | None:
        """The rate, now that there are so many tokens in all."""
        now = self._clock()
        self._seen.append((now, tokens))
        while len(self._seen) > 2 and self._seen[1][0] <= now - _RECENT:
            self._seen.popleft()
        since, before = self._seen[0]
        return (tokens - before) / (now - since) if now > since else None


class Lines:
    """A line at each new status, and at every tenth of the lines."""

    def __init__(self) -> None:
        self._last = ("", -1)

    def line(self, step: Progress) -> str | None:
        """What there is to say now."""
        percent = 100 * step.done // step.lines if step.lines else 0
        now = (step.status, percent // _EVERY)
        if now == self._last:
            return None
        self._last = now
        of = f": {step.done:,} of {step.lines:,} lines, {counted(step.failed, 'error')}" if step.lines else ""
        return f"{step.doing}{of}"


class Display:
    """Shows a batch's progress on standard error, for as long as the block runs."""

    def __init__(self) -> None:
        self._lines = Lines()
        self._bar = _Bar() if sys.stderr.isatty() else None

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, step: Progress) -> None:
        """Show how far it is."""
        if self._bar is not None:
            self._bar.show(step)
        elif line := self._lines.line(step):
            typer.echo(line, err=True)


class _Bar:
    def __init__(self) -> None:
        from rich.console import Console  # noqa: PLC0415 (only where there is a terminal)
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn  # noqa: PLC0415
        from rich.progress import Progress as Bar  # noqa: PLC0415

        columns = (
            TextColumn("{task.description:<11}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[counts]}"),
            TextColumn("[dim]{task.fields[rate]}"),
            TextColumn("[red]{task.fields[errors]}"),
        )
        self._bar = Bar(
            *columns,
            TimeElapsedColumn(),
            TextColumn("[dim]left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            expand=True,
            transient=True,  # what it came to is said after it
        )
        self._task = self._bar.add_task("starting", total=None, counts="", rate="", errors="")
        self._rate = Rate()

    def start(self) -> None:
        self._bar.start()

    def stop(self) -> None:
        self._bar.stop()

    def show(self, step: Progress) -> None:
        rate = self._rate.after(step.tokens)
        self._bar.update(
            self._task,
            description=step.doing,
            total=step.lines or None,
            completed=step.done,
            counts=f"{step.done:,}/{step.lines:,} lines" if step.lines else "",
            rate=f"{rate:,.0f} tokens/s" if rate else "",
            errors=counted(step.failed, "error") if step.failed else "",
        )


def counted(number: int, noun: str) -> str:
    """A number of things, in words that fit it."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
