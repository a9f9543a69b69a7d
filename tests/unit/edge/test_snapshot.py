"""A process that is copied, or stands still: what it does about it, by clocks and hooks that a test holds."""

import asyncio
import random
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from functions.edge.snapshot import Rest


class Edge:
    """What was asked of the edge."""

    def __init__(self, fails: bool = False) -> None:
        self.asked: list[str] = []
        self._fails = fails

    async def prime(self) -> None:
        self.asked.append("prime")
        if self._fails:
            raise RuntimeError("hush")

    async def renew(self) -> None:
        self.asked.append("renew")


class Clocks:
    """The process's clock, and the world's."""

    def __init__(self) -> None:
        self.process, self.world = 100.0, 1_700_000_000.0

    def run(self, seconds: float) -> None:
        """Both go on."""
        self.process += seconds
        self.world += seconds

    def rest_of(self, edge: Any) -> Rest:
        return Rest(edge, clock=lambda: self.process, world=lambda: self.world)


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """The event loop of this thread, as Mangum has one."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield loop
    asyncio.set_event_loop(None)
    loop.close()


def test_it_wakes_only_where_the_process_stood_still_and_once(loop: asyncio.AbstractEventLoop) -> None:
    edge, clocks = Edge(), Clocks()
    rest = clocks.rest_of(edge)
    for pause in (0.0, 1.0, 3_600.0):  # its own clock sees these, and so does all that counts by it
        clocks.run(pause)
        loop.run_until_complete(rest.wake())
    clocks.world += 1.5  # a correction of the world's clock
    loop.run_until_complete(rest.wake())
    assert edge.asked == []
    clocks.world += 600
    for _ in range(2):
        loop.run_until_complete(rest.wake())
    assert edge.asked == ["renew"]


def test_a_world_that_goes_back_is_no_rest(loop: asyncio.AbstractEventLoop) -> None:
    edge, clocks = Edge(), Clocks()
    rest = clocks.rest_of(edge)
    clocks.world -= 600
    loop.run_until_complete(rest.wake())
    assert edge.asked == []
    clocks.world += 5
    loop.run_until_complete(rest.wake())
    assert edge.asked == ["renew"]


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], None]]:
    """What is registered with Lambda's own module, of which this is the part that we use."""
    hooks: list[Callable[[], None]] = []
    module = ModuleType("snapshot_restore_py")
    module.register_after_restore = hooks.append  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "snapshot_restore_py", module)
    return hooks


def test_each_restored_process_is_its_own(
    loop: asyncio.AbstractEventLoop, registered: list[Callable[[], None]]
) -> None:
    edge, clocks = Edge(), Clocks()
    rest = clocks.rest_of(edge)
    rest.prime()
    rest.register()
    (restored,) = registered
    snapshot = random.getstate()
    drawn = set()
    for _ in range(3):
        random.setstate(snapshot)
        clocks.world += 86_400
        restored()
        drawn.add(random.random())
    assert len(drawn) == 3
    assert edge.asked == ["prime", *["renew"] * 3]
    loop.run_until_complete(rest.wake())  # the restoration was no rest
    assert edge.asked[-1:] == ["renew"]
    assert len(edge.asked) == 4


def test_without_lambdas_module_there_is_nothing_to_register(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "snapshot_restore_py", None)
    Clocks().rest_of(Edge()).register()


@pytest.mark.usefixtures("loop")
def test_what_cannot_be_primed_does_not_keep_the_function_from_starting() -> None:
    edge = Edge(fails=True)
    Clocks().rest_of(edge).prime()
    assert edge.asked == ["prime"]
