"""Look-ups that are remembered: how long, how many, and what a failure, a forgotten one or a departure does."""

import asyncio
from collections.abc import Callable

import pytest

from functions.edge import lookups
from functions.edge.lookups import Lookups

pytestmark = pytest.mark.anyio

Clock = Callable[[float], None]


class Store:
    """Answers with the number of the look-up, once the gate is open."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.failing = False

    async def read(self, name: str) -> str | None:
        """One look-up."""
        self.asked.append(name)
        answer = f"{name}{len(self.asked)}"
        await self.gate.wait()
        if self.failing:
            raise ConnectionError
        return None if name == "nobody" else answer


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that stands, until it is told how many seconds have passed."""
    now = 1_000.0

    def forward(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(lookups, "monotonic", lambda: now)
    return forward


async def test_what_is_fresh_is_told_without_the_store(pass_time: Clock) -> None:
    store = Store()
    known = Lookups(store.read, keep_s=5, most=10)
    assert await known.get("a") == await known.get("a") == "a1"
    pass_time(4.9)
    assert await known.get("a") == "a1"
    assert not known.costs("a")
    pass_time(0.2)
    assert known.costs("a")
    assert known.last("a") == "a1"
    assert await known.get("a") == "a2"


async def test_that_nothing_was_found_is_remembered(pass_time: Clock) -> None:
    store = Store()
    known = Lookups(store.read, keep_s=5, most=10)
    assert [await known.get("nobody") for _ in range(3)] == [None] * 3
    assert store.asked == ["nobody"]


async def test_no_time_at_all_is_off() -> None:
    store = Store()
    known = Lookups(store.read, keep_s=0, most=10)
    assert [await known.get("a") for _ in range(3)] == ["a1", "a2", "a3"]


async def test_an_answer_is_as_old_as_its_question(pass_time: Clock) -> None:
    """What changed while the store was asked may be missing in the answer."""
    store = Store()
    known = Lookups(store.read, keep_s=5, most=10)
    store.gate.clear()
    waiting = asyncio.create_task(known.get("a"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    pass_time(5)
    store.gate.set()
    await waiting
    assert known.costs("a")


async def test_look_ups_of_the_same_at_once_are_one() -> None:
    store = Store()
    known = Lookups(store.read, keep_s=5, most=10)
    assert await asyncio.gather(*(known.get("a") for _ in range(50))) == ["a1"] * 50
    assert store.asked == ["a"]


async def test_one_who_leaves_takes_the_look_up_from_nobody() -> None:
    store = Store()
    known = Lookups(store.read, keep_s=5, most=10)
    store.gate.clear()
    first, second = (asyncio.create_task(known.get("a")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    store.gate.set()
    assert await second == "a1"
    assert first.cancelled()


async def test_a_failure_is_everybodys_and_not_remembered() -> None:
    store = Store()
    known = Lookups(store.read, keep_s=5, most=10)
    store.failing = True
    outcomes = await asyncio.gather(*(known.get("a") for _ in range(3)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ConnectionError] * 3
    store.failing = False
    assert await known.get("a") == "a2"


async def test_what_is_forgotten_is_asked_for_anew_even_by_those_under_way() -> None:
    store = Store()
    known = Lookups(store.read, keep_s=5, most=10)
    await known.get("a")
    known.forget("a")
    store.gate.clear()
    old = asyncio.create_task(known.get("a"))
    await asyncio.sleep(0)
    known.forget("a")
    new = asyncio.create_task(known.get("a"))
    await asyncio.sleep(0)
    store.gate.set()
    assert (await old, await new) == ("a2", "a3")
    assert await known.get("a") == "a3"


async def test_the_longest_unused_is_forgotten_first() -> None:
    store = Store()
    known = Lookups(store.read, keep_s=5, most=2)
    for name in ("a", "b", "a", "c"):
        await known.get(name)
    assert [known.costs(name) for name in ("a", "b", "c")] == [False, True, False]
