"""A ledger that fails, or waits, where the test says so, around a real one."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from penstock.ledger import Ledger, LedgerUnavailable, Usage


class UnreliableLedger:
    """`failing` names the methods that raise LedgerUnavailable, `held` those that wait first."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.failing: set[str] = set()
        self.lost: set[str] = set()  # those that are done, but whose answer is lost
        self.twice = False  # every call is delivered twice; what comes back is the second one's
        self.held: dict[str, asyncio.Event] = {}
        self.calls: list[str] = []
        self.checkpoints: list[Usage] = []  # what they recorded

    def as_ledger(self) -> Ledger:
        """The same, under the protocol's name."""
        return cast("Ledger", self)

    def count(self, method: str) -> int:
        """How often a method was called."""
        return self.calls.count(method)

    def __getattr__(self, method: str) -> Callable[..., Any]:
        async def call(*args: Any, **kwargs: Any) -> Any:
            self.calls.append(method)
            if method == "checkpoint":
                self.checkpoints.append(args[2])
            if method in self.held:
                await self.held[method].wait()
            if method in self.failing:
                raise LedgerUnavailable("away")
            if self.twice:
                await getattr(self._ledger, method)(*args, **kwargs)
            result = await getattr(self._ledger, method)(*args, **kwargs)
            if method in self.lost:
                raise LedgerUnavailable("the answer was lost")
            return result

        return call
