"""Stores around real ones that fail by chance: before a call takes effect, or after it, so that its answer is lost.

Object storage is asked three times before it counts as away, as its clients ask; a ledger once.
"""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, cast

from penstock.ledger import Ledger, LedgerUnavailable
from penstock.objects import Object, Objects, ObjectsUnavailable


def flaky_ledger(ledger: Ledger, rate: float, seed: int) -> Ledger:
    """The ledger, so often away."""
    return cast("Ledger", _Flaky(ledger, LedgerUnavailable, rate, seed))


def flaky_objects(objects: Objects, rate: float, seed: int) -> Objects:
    """The same of object storage."""
    return cast("Objects", _FlakyObjects(objects, ObjectsUnavailable, rate, seed))


class _Flaky:
    tries = 1

    def __init__(self, store: Ledger | Objects, failure: type[Exception], rate: float, seed: int) -> None:
        self._store = store
        self._failure = failure
        self._rate = rate
        self._random = random.Random(seed)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._store, name)
        if name == "close":
            return cast("Callable[..., Any]", method)

        async def call(*args: Any, **kwargs: Any) -> Any:
            for _ in range(self.tries - 1):
                with suppress(self._failure):
                    return await self._once(method, *args, **kwargs)
            return await self._once(method, *args, **kwargs)

        return call

    async def _once(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        chance = self._random.random()
        if chance < self._rate / 2:
            raise self._failure("before")
        result = await method(*args, **kwargs)
        if chance < self._rate:
            raise self._failure("after")
        return result


class _FlakyObjects(_Flaky):
    tries = 3

    async def list(self, prefix: str) -> AsyncIterator[Object]:
        if self._random.random() < self._rate:
            raise self._failure("before")
        async for each in cast("Objects", self._store).list(prefix):
            yield each
