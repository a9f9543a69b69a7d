"""The load times every piece of work, and all of it together."""

import asyncio
import time
from functools import partial

import pytest

from benchmarks.ledger.load import Taken

pytestmark = pytest.mark.anyio


async def test_every_client_does_its_work_so_often_and_all_do_it_at_once() -> None:
    running, most = 0, 0
    done: list[str] = []

    async def work(name: str) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        done.append(name)
        return len([one for one in done if one == name])

    taken = Taken()
    assert await taken.add([partial(work, "a"), partial(work, "b")], times=3) == [3, 3]
    assert most == 2
    assert sorted(done) == ["a"] * 3 + ["b"] * 3
    assert len(taken.seconds) == 6
    assert min(taken.seconds) >= 0.009
    assert taken.whole >= max(taken.seconds)


async def test_several_goes_add_up() -> None:
    taken, begun = Taken(), time.perf_counter()
    for _ in range(2):
        await taken.add([partial(asyncio.sleep, 0.01)])
    assert len(taken.seconds) == 2
    assert 0.018 <= taken.whole <= time.perf_counter() - begun
    assert taken.per_second == pytest.approx(2 / taken.whole)
    assert taken.ms(50) <= taken.ms(99)


async def test_a_failure_is_raised() -> None:
    async def fail() -> None:
        raise ValueError("no turbine")

    with pytest.raises(ValueError, match="no turbine"):
        await Taken().add([fail])
