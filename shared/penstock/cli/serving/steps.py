"""The steps of a start, each with its time: a spinner on a terminal, plain lines elsewhere."""

from collections.abc import Awaitable
from time import monotonic
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.text import Text
from typing_extensions import override


class _Seconds(ProgressColumn):
    @override
    def render(self, task: Task) -> Text:
        seconds = task.finished_time if task.finished else task.elapsed
        return Text(f"{seconds or 0:.1f} s", style="dim")


class Steps:
    """Steps, one or more at a time. Lines printed on the same console meanwhile appear above."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("{task.description}"),
            _Seconds(),
            console=console,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        self._progress.stop()

    async def take(self, text: str, work: Awaitable[object], done: str) -> None:
        """Show a step while the work goes on; `done` says what there is after it."""
        step, begun = self._progress.add_task(text, total=1), monotonic()
        await work
        self._progress.update(step, description=done, completed=1)
        if not self._console.is_terminal:
            self._console.print(f"{done} ({monotonic() - begun:.1f} s)", soft_wrap=True)
