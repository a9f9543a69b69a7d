"""An event loop in a thread of its own, for callers who have none."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """A running loop. Who waits and is interrupted (Ctrl-C) cancels what it waited for."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Its result, or what it raises."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # nothing, where it has ended by itself
            raise

    def iterate(self, items: AsyncGenerator[T]) -> Generator[T]:
        """The items, one by one as they are asked for; started, so that closing it closes them."""
        generator = self._iterate(items)
        next(generator)
        return generator

    def _iterate(self, items: AsyncGenerator[T]) -> Generator[Any]:
        try:
            yield None  # to `iterate`
            while True:
                try:
                    item = self.run(_next(items))
                except StopAsyncIteration:
                    return
                yield item
        finally:
            self.run(items.aclose())

    def close(self) -> None:
        """Stop the loop. Nothing may be running on it."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()


async def _next(items: AsyncGenerator[T]) -> T:
    return await anext(items)
