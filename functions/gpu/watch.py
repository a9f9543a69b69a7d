"""A time limit for each of many short waits of one task, at the price of reading a clock.

`asyncio.timeout` makes a timer and drops it for every wait, which for an answer's every token is a third of
what sending it costs. Here one timer goes on over all the waits, and looks again when it is due.
"""

import asyncio
from types import TracebackType
from typing import Self


class Watch:
    """Used as `with watch.until(when): await ...`, which raises TimeoutError when it takes longer.

    `when` is of the loop's clock; None waits for ever. For one task at a time, and not within itself.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._due: float | None = None  # of the wait that goes on
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._expired = False

    def within(self, seconds: float) -> Self:
        """The same, from now."""
        return self.until(self._loop.time() + seconds)

    def until(self, when: float | None) -> Self:
        """Limit the wait that follows."""
        self._due = when
        if when is not None and (self._timer is None or self._timer.when() > when):
            self._set(when)
        return self

    def close(self) -> None:
        """Drop the timer, which would look once more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def __enter__(self) -> None:
        self._task = asyncio.current_task()
        assert self._task is not None  # noqa: S101 (a coroutine runs in a task)
        self._cancelling = self._task.cancelling()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task, self._task, self._due = self._task, None, None
        if self._expired and task is not None:
            self._expired = False
            # As asyncio.timeout does it: ours to convert only where nobody else cancelled the task as well.
            if task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
                raise TimeoutError from error

    def _set(self, when: float) -> None:
        self.close()
        self._timer = self._loop.call_at(when, self._look)

    def _look(self) -> None:
        """The timer is due; the wait that goes on may not be, or there is none."""
        self._timer = None
        if self._due is None or self._task is None:
            return
        if self._due > self._loop.time():
            self._set(self._due)
        else:
            self._expired = True
            self._task.cancel()
