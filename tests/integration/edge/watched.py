"""A ledger that notes what is asked of it, and may be made to fail; the rest is the ledger's own."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Self

from penstock.ledger import Ledger, LedgerUnavailable
from tests.integration.edge.deployment import Deployment


class Watched:
    """Counts the calls of each method. `away` cannot reach the store; `held` wait until they are let go."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.calls: Counter[str] = Counter()
        self.arguments: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {}  # of each method's last call
        self.away: set[str] = set()
        self.held: dict[str, asyncio.Event] = {}

    @classmethod
    async def within(cls, deployment: Deployment) -> Self:
        """Put one into the deployment's edge."""
        watched = cls(await deployment.edge.ledger())
        deployment.edge._ledger = watched  # type: ignore[assignment] # it is one, by its methods
        return watched

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self._ledger, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            self.calls[name] += 1
            self.arguments[name] = (args, kwargs)
            if name in self.held:
                await self.held[name].wait()
            if name in self.away:
                raise LedgerUnavailable("the store is away, at /secret/place")
            return await method(*args, **kwargs)

        return call
