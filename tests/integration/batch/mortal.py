"""A process that dies just before its n-th call to a store or a worker: from then on it can do nothing."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

from functions.batch.plant import Plant
from tests.integration.batch.stand import Stand

_NOT_AWAITED = frozenset({"list", "chunks", "writer"})


class Died(Exception):
    """What the process's code sees of its own death."""


class Life:
    """How many calls there were, and at which one it ends; None: at none."""

    def __init__(self, ends_at: int | None = None) -> None:
        self.calls = 0
        self.last = ""
        self._ends_at = ends_at

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self._ends_at is not None and self.calls >= self._ends_at

    def begin(self, name: str) -> None:
        """Before a call."""
        if not self.over:
            self.calls += 1
            self.last = name
        if self.over:
            raise Died(self.last)


class Mortal:
    """A store, or workers, as the process sees them."""

    def __init__(self, real: Any, life: Life) -> None:
        self._real = real
        self._life = life

    def __getattr__(self, name: str) -> Any:
        method: Callable[..., Any] = getattr(self._real, name)
        if name in _NOT_AWAITED:

            def opened(*given: Any, **named: Any) -> Any:
                self._life.begin(name)
                return method(*given, **named)

            return opened

        async def called(*given: Any, **named: Any) -> Any:
            self._life.begin(name)
            answer: Awaitable[Any] = method(*given, **named)
            return await answer

        return called


def mortal_plant(stand: Stand, life: Life) -> Any:
    """A process on the stand's stores, with a life of its own."""
    plant = stand.plant
    mortal: dict[str, Any] = {
        name: Mortal(real, life)
        for name, real in {
            "ledger": plant.ledger,
            "book": plant.book,
            "objects": plant.objects,
            "workers": stand.workers,
        }.items()
    }
    return Plant.of(settings=plant.settings, models=plant.models, opened=AsyncExitStack(), asked_after=0, **mortal)
