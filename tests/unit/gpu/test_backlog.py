"""The backlog, in simulated time: an outage of a minute is over in milliseconds."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from dataclasses import replace

from functions.gpu.backlog import AT_ONCE, LAST_PAUSE_S, Backlog, _pauses
from functions.gpu.settlement import Settlement
from penstock.ledger import Usage
from tests.unit.gpu.lease import LEASE


class Hurry(selectors.DefaultSelector):
    """A selector that does not wait, but says how long it would have."""

    waited = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.waited += timeout or 0.0
        return super().select(0)


class FastLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock is what it would have waited."""

    def __init__(self) -> None:
        self._hurry = Hurry()
        super().__init__(self._hurry)

    def time(self) -> float:
        return self._hurry.waited


def simulate(work: Callable[[], Coroutine[None, None, None]]) -> None:
    with asyncio.Runner(loop_factory=FastLoop) as runner:
        runner.run(work())


def settlement(number: int) -> Settlement:
    return Settlement(replace(LEASE, id=f"req_{number:05}"), Usage(3, 0, number), "completed")


class Books:
    """A ledger that is away until a time, and takes a tenth of a second for each settlement."""

    def __init__(self, back_at: float = 0.0) -> None:
        self.back_at = back_at
        self.tries = 0
        self.at_once = 0
        self.most_at_once = 0
        self.tried: list[str] = []
        self.taken: list[str] = []
        self.never: set[str] = set()

    async def book(self, settlement: Settlement) -> bool:
        self.tries += 1
        self.tried.append(settlement.request_id)
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        await asyncio.sleep(0.1)
        self.at_once -= 1
        if asyncio.get_running_loop().time() < self.back_at or settlement.request_id in self.never:
            return False
        self.taken.append(settlement.request_id)
        return True


def test_a_minute_away_costs_few_tries_and_loses_nothing() -> None:
    async def work() -> None:
        books = Books(back_at=60.0)
        backlog = Backlog(books.book)
        for number in range(1_000):
            backlog.add(settlement(number))
        await asyncio.sleep(59.0)
        assert books.taken == []
        assert books.tries <= 20
        assert books.most_at_once == 1
        await backlog.flushed()
        assert sorted(books.taken) == [f"req_{number:05}" for number in range(1_000)]
        assert books.most_at_once == AT_ONCE
        # At once when it is back: within one pause, and then as fast as 16 at a time can be.
        assert asyncio.get_running_loop().time() <= 60 + LAST_PAUSE_S + 1_000 / AT_ONCE * 0.1 + 1
        assert len(backlog) == 0

    simulate(work)


def test_the_oldest_goes_first() -> None:
    async def work() -> None:
        books = Books()
        backlog = Backlog(books.book)
        for number in range(100):
            backlog.add(settlement(number))
        await backlog.flushed()
        assert books.tried == [f"req_{number:05}" for number in range(100)]

    simulate(work)


def test_one_that_fails_for_ever_holds_nobody_up() -> None:
    async def work() -> None:
        books = Books()
        books.never = {"req_00000", "req_00003"}
        backlog = Backlog(books.book)
        for number in range(50):
            backlog.add(settlement(number))
        await asyncio.sleep(20)
        assert len(books.taken) == 48
        assert {one.request_id for one in backlog} == books.never
        tries = books.tries
        await asyncio.sleep(300)
        assert books.tries <= tries + 300 / (LAST_PAUSE_S / 2) + 1
        books.never = set()
        await backlog.flushed()
        assert len(books.taken) == 50

    simulate(work)


def test_each_settlement_is_held_once_and_said_to_be_done() -> None:
    async def work() -> None:
        books = Books(back_at=5.0)
        backlog = Backlog(books.book)
        first, second = backlog.add(settlement(1)), backlog.add(settlement(1))
        assert len(backlog) == 1
        await first.wait()
        await second.wait()
        assert books.taken == ["req_00001"]
        await backlog.flushed()
        # Empty, it does nothing; and it begins anew.
        third = backlog.add(settlement(2))
        await third.wait()
        assert books.taken == ["req_00001", "req_00002"]
        await backlog.flushed()

    simulate(work)


def test_woken_it_tries_at_once() -> None:
    async def work() -> None:
        books = Books(back_at=1_000.0)
        backlog = Backlog(books.book)
        taken = backlog.add(settlement(1))
        await asyncio.sleep(995)
        books.back_at = 0.0
        before = asyncio.get_running_loop().time()
        backlog.wake()
        await taken.wait()
        assert asyncio.get_running_loop().time() <= before + 0.5
        await backlog.flushed()

    simulate(work)


def test_closed_it_keeps_what_is_left() -> None:
    async def work() -> None:
        backlog = Backlog(Books(back_at=1_000.0).book)
        backlog.wake()  # for nothing
        await backlog.close()
        backlog.add(settlement(1))
        await asyncio.sleep(3)
        await backlog.close()
        assert [one.request_id for one in backlog] == ["req_00001"]

    simulate(work)


def test_the_pauses_grow_to_a_bound() -> None:
    pauses = [pause for _, pause in zip(range(40), _pauses(), strict=False)]
    assert pauses[0] <= 0.1
    assert max(pauses) <= LAST_PAUSE_S
    assert all(pause >= LAST_PAUSE_S / 2 for pause in pauses[-10:])
