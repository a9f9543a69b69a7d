"""An event loop in a thread: who is interrupted, closes, drops or exits, ends what was going on, and nobody hangs."""

import asyncio
import gc
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import pytest

from penstock.client.loop_thread import Closed, LoopThread

PATIENCE_S = 60.0


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    loop = LoopThread("test")
    yield loop
    loop.close()


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No task is destroyed while it is pending, and no error goes unheard."""
    yield
    gc.collect()
    assert [record.message for record in caplog.records if record.name == "asyncio"] == []


class Items:
    """0, 1 and 2, and then nothing comes; how they were left."""

    def __init__(self) -> None:
        self.waits = threading.Event()
        self.closed = threading.Event()

    async def items(self) -> AsyncGenerator[int]:
        try:
            for number in range(3):
                yield number
            self.waits.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)  # what it does about being left takes a while
            self.closed.set()


async def double(number: int) -> int:
    await asyncio.sleep(0)
    return 2 * number


async def fail() -> None:
    raise LookupError("on purpose")


def interrupt_after(event: threading.Event, *more: threading.Event) -> threading.Thread:
    """Ctrl-C for the main thread, after each of the events."""

    def interrupt() -> None:
        for each in (event, *more):
            assert each.wait(PATIENCE_S)
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    return thread


def test_a_result_and_an_error_come_to_who_waits(loop: LoopThread) -> None:
    assert loop.run(double(4)) == 8
    with pytest.raises(LookupError, match="on purpose"):
        loop.run(fail())


def test_many_threads_wait_at_once(loop: LoopThread) -> None:
    found: list[int] = []
    threads = [threading.Thread(target=lambda n=n: found.append(loop.run(double(n)))) for n in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert sorted(found) == [2 * n for n in range(32)]


def test_ctrl_c_cancels_what_is_waited_for_and_waits_for_that(loop: LoopThread) -> None:
    waits, ended = threading.Event(), threading.Event()

    async def wait() -> None:
        try:
            waits.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            ended.set()

    interrupting = interrupt_after(waits)
    with pytest.raises(KeyboardInterrupt):
        loop.run(wait())
    assert ended.is_set()
    interrupting.join()


def test_a_second_ctrl_c_leaves_at_once(loop: LoopThread) -> None:
    waits, cancelled, go = threading.Event(), threading.Event(), asyncio.Event()

    async def stubborn() -> None:
        try:
            waits.set()
            await asyncio.Event().wait()
        finally:
            cancelled.set()
            await go.wait()

    interrupting = interrupt_after(waits, cancelled)
    with pytest.raises(KeyboardInterrupt):
        loop.run(stubborn())
    interrupting.join()
    loop.run(_set(go))


async def _set(event: asyncio.Event) -> None:
    event.set()


def test_ctrl_c_while_an_item_is_waited_for_is_not_an_error_of_the_generator(loop: LoopThread) -> None:
    """Closing it while its cancelled reader still unwound raised RuntimeError, and Ctrl-C was lost."""
    made = Items()
    interrupting = interrupt_after(made.waits)
    seen: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        seen.extend(loop.iterate(made.items()))
    assert made.closed.is_set()
    interrupting.join()


def test_what_is_iterated_is_closed_by_the_thread_that_reads(loop: LoopThread) -> None:
    made = Items()
    items = loop.iterate(made.items())
    assert [next(items), next(items)] == [0, 1]
    items.close()
    assert made.closed.is_set()
    assert list(items) == []


def test_what_is_iterated_and_never_begun_can_be_closed(loop: LoopThread) -> None:
    loop.iterate(Items().items()).close()


def test_a_generator_that_is_collected_in_the_loops_own_thread_does_not_wait_for_itself(loop: LoopThread) -> None:
    made = Items()
    held = [loop.iterate(made.items())]
    next(held[0])

    async def drop() -> None:
        held.clear()

    loop.run(drop())
    assert made.closed.wait(PATIENCE_S)


def test_a_closed_loop_says_so(loop: LoopThread) -> None:
    items = loop.iterate(Items().items())
    next(items)
    loop.close()
    loop.close()
    with pytest.raises(Closed, match="the client is closed"):
        loop.run(double(1))
    with pytest.raises(Closed):
        next(items)
    loop.iterate(Items().items()).close()


def test_closing_ends_what_is_iterated_and_what_is_waited_for() -> None:
    """A thread that waited when another closed the loop waited for ever."""
    loop = LoopThread("test")
    idle, read = Items(), Items()
    held = loop.iterate(idle.items())
    next(held)
    outcome: list[BaseException] = []

    def wait() -> None:
        try:
            list(loop.iterate(read.items()))
        except Closed as error:
            outcome.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert read.waits.wait(PATIENCE_S)
    loop.close()
    waiting.join(PATIENCE_S)
    assert (len(outcome), idle.closed.is_set(), read.closed.is_set()) == (1, True, True)
    held.close()


def test_several_threads_may_close_it() -> None:
    loop = LoopThread("test")
    closing: list[Any] = [threading.Thread(target=loop.close) for _ in range(8)]
    for thread in closing:
        thread.start()
    for thread in closing:
        thread.join(PATIENCE_S)
    assert not any(thread.is_alive() for thread in closing)


PROGRAM = """
import asyncio
from penstock.client.loop_thread import LoopThread

async def items():
    try:
        yield 1
        yield 2
    finally:
        await asyncio.sleep(0.01)
        print("closed", flush=True)

loop = LoopThread("program")
begun = loop.iterate(items())
print(next(begun), flush=True)
"""


def test_a_program_that_just_ends_closes_what_it_iterates_and_does_not_hang() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", PROGRAM], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\nclosed\n", "")
