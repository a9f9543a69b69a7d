"""A gate before a model: it lets a counted number of passes through, sees their tokens, and can misbehave.

So tests know where a generation is without looking at a clock.
"""

import threading
from collections.abc import Callable
from typing import Any

from tests.unit.gpu.engine.transcripts import DEADLINE


def nothing(*_: Any) -> None:
    """No misbehaviour."""


class Gate:
    """Stands before and behind every forward pass of a model, from now on. Shut at first."""

    def __init__(self, model: Any) -> None:
        self.waiting = False  # whether a pass waits here
        self.seen: list[list[int]] = []  # the tokens of each pass that was let through
        self.before: Callable[[list[int]], None] = nothing  # may raise
        self.after: Callable[[Any], None] = nothing  # is given the output, and may spoil its logits
        self._permits = threading.Semaphore(0)
        model.register_forward_pre_hook(self._enter, with_kwargs=True)
        model.register_forward_hook(self._leave)

    @property
    def steps(self) -> int:
        """Passes that were let through."""
        return len(self.seen)

    def open(self, steps: int = 100_000) -> None:
        """Let so many passes through."""
        self._permits.release(steps)

    def _enter(self, _model: Any, _inputs: Any, kwargs: dict[str, Any]) -> None:
        self.waiting = True
        assert self._permits.acquire(timeout=DEADLINE)
        self.waiting = False
        ids = kwargs["input_ids"][0].tolist()
        self.seen.append(ids)
        self.before(ids)

    def _leave(self, _model: Any, _inputs: Any, output: Any) -> None:
        self.after(output)
