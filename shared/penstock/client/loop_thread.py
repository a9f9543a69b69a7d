"""An event loop in a thread of its own, for callers who have none."""

import asyncio
import atexit
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import suppress
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Closed(RuntimeError):
    """The loop was closed: nothing runs on it any more."""


class LoopThread:
    """A running loop, which threads may share. It ends with `close`, at the latest with the program.

    Who waits and is interrupted (Ctrl-C) cancels what it waited for, and waits for that; a second interruption
    leaves at once.
    """

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._iterated: set[AsyncGenerator[Any]] = set()
        self._closed = False
        self._lock = threading.RLock()  # a generator that is collected here meanwhile takes it again
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()
        # While threads still run: what is iterated by then would wait for one that has stopped.
        atexit.register(self.close)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Its result, or what it raises. Raises Closed."""
        running = _Running(self._loop, coroutine)
        try:
            self._tell(running.begin)
            running.ended.wait()
        except Closed:
            coroutine.close()
            raise
        except BaseException:
            with suppress(Closed):
                self._tell(running.cancel)
            running.ended.wait()
            raise
        return running.result()

    def iterate(self, items: AsyncGenerator[T]) -> Generator[T]:
        """The items, one by one as they are asked for; started, so that closing it closes them."""
        self._iterated.add(items)
        generator = self._iterate(items)
        next(generator)
        return generator

    def close(self) -> None:
        """Cancel what runs, close what is iterated, and end the thread. A second time it does nothing."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        atexit.unregister(self.close)

    def _tell(self, what: Callable[[], object]) -> None:
        with self._lock:
            if self._closed:
                raise Closed("the client is closed")
            self._loop.call_soon_threadsafe(what)

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
            self._iterated.discard(items)
            # A generator is collected in any thread; in the loop's own, nobody may wait for the loop, which closes
            # by itself what is let go.
            if threading.current_thread() is not self._thread:
                with suppress(Closed):
                    self.run(_close(items))

    def _serve(self) -> None:
        try:
            self._loop.run_forever()
        finally:
            self._loop.run_until_complete(self._wind_up())
            self._loop.close()

    async def _wind_up(self) -> None:
        while running := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        await asyncio.gather(*map(_close, list(self._iterated)), return_exceptions=True)


class _Running(Generic[T]):
    """A coroutine as a task, with what a thread needs to wait for it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T]) -> None:
        self.ended = threading.Event()
        self._loop = loop
        self._coroutine = coroutine
        self._task: asyncio.Task[T] | None = None

    def begin(self) -> None:
        self._task = self._loop.create_task(self._coroutine)
        self._task.add_done_callback(lambda _: self.ended.set())

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
        else:  # who waits was interrupted before it could be begun
            self._coroutine.close()
            self.ended.set()

    def result(self) -> T:
        if self._task is None or self._task.cancelled():
            raise Closed("the client was closed meanwhile")
        return self._task.result()


async def _next(items: AsyncGenerator[T]) -> T:
    return await anext(items)


async def _close(items: AsyncGenerator[Any]) -> None:
    await items.aclose()
