"""The end of an attempt: the first reason stays, and waiting ends with it."""

import asyncio

import pytest

from functions.gpu.shards.ending import Ending, Why

pytestmark = pytest.mark.anyio


async def test_the_first_reason_stays() -> None:
    ending = Ending()
    assert not ending
    ending.come(Why.STOPPED)
    ending.come(Why.FAILED, RuntimeError())
    assert ending
    assert (ending.why, ending.error) == (Why.STOPPED, None)


async def test_waiting_ends_when_the_end_comes() -> None:
    ending = Ending()
    waiting = [asyncio.create_task(ending.within(3_600)), asyncio.create_task(ending.wait())]
    await asyncio.sleep(0)
    ending.come(Why.LEFT)
    await asyncio.gather(*waiting)
    await Ending().within(0)


async def test_what_is_waited_for_is_cancelled_by_the_end_and_done_without_it() -> None:
    ending, gate, cancelled = Ending(), asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        try:
            await gate.wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    waiting = asyncio.create_task(ending.unless(wait()))
    await asyncio.sleep(0)
    ending.come(Why.STOPPED)
    assert await waiting is False
    assert cancelled.is_set()
    gate.set()
    assert await Ending().unless(wait()) is True


async def test_what_is_waited_for_may_fail() -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await Ending().unless(fail())


@pytest.mark.parametrize("why", list(Why))
def test_who_goes_on(why: Why) -> None:
    assert why.for_good is (why in (Why.STOPPED, Why.EXPIRED))
