"""The load times every piece of work, and all of it together."""

import asyncio
import time
from functools import partial

import pytest

from benchmarks.ledger.load import Taken

pytestmark = pytest.mark.anyio


async def test_all_of_the_work_is_done_at_once_and_each_piece_is_timed() -> None:
    running, most = 0, 0

    async def work(name: str) -> str:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        return name.upper()

    taken = Taken()
    assert await taken.add([partial(work, "a"), partial(work, "b")]) == ["A", "B"]
    assert most == 2
    assert len(taken.seconds) == 2
    assert min(taken.seconds) >= 0.009
    assert max(taken.seconds) <= taken.whole


async def test_several_turns_add_up() -> None:
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
