"""The steps of a start, each with its time: a spinner on a terminal, plain lines elsewhere."""

from time import monotonic
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.text import Text
from typing_extensions import override


class _Seconds(ProgressColumn):
    @override
    def render(self, task: Task) -> Text:
        seconds = task.finished_time if task.finished else task.elapsed
        return Text(f"{seconds or 0:.1f} s", style="dim")


class Steps:
    """A step begins, and is done. Lines printed on the same console meanwhile appear above."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._begun: dict[TaskID, float] = {}
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

    def begin(self, text: str) -> TaskID:
        """Begin a step."""
        step = self._progress.add_task(text, total=1)
        self._begun[step] = monotonic()
        return step

    def done(self, step: TaskID, text: str) -> None:
        """Call the step done, under a text that says what there is now."""
        self._progress.update(step, description=text, completed=1)
        if not self._console.is_terminal:
            self._console.print(f"{text} ({monotonic() - self._begun[step]:.1f} s)", highlight=False, soft_wrap=True)
