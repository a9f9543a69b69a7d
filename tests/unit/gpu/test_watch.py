"""A time limit over many waits: it ends the one that takes too long, and no other."""

import asyncio

import pytest

from functions.gpu.watch import Watch

pytestmark = pytest.mark.anyio


async def test_a_wait_that_takes_too_long_is_ended() -> None:
    never, watch = asyncio.Event(), Watch()
    for _ in range(2):
        with pytest.raises(TimeoutError), watch.within(0.01):
            await never.wait()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_what_ends_in_time_is_left_alone_however_many_there_are() -> None:
    watch, loop = Watch(), asyncio.get_running_loop()
    begun = loop.time()
    while loop.time() < begun + 0.05:  # longer, all together, than one may take
        with watch.within(3_600):
            await asyncio.sleep(0)
        with watch.until(loop.time() + 0.02):
            await asyncio.sleep(0)
    await asyncio.sleep(0.03)  # between two waits nothing is limited
    with watch.until(None):
        await asyncio.sleep(0.03)


@pytest.mark.parametrize("before", [0.001, 3_600])
async def test_each_wait_has_its_own_limit(before: float) -> None:
    """The timer of an earlier one, due sooner or later, is not its own."""
    watch, loop = Watch(), asyncio.get_running_loop()
    with watch.within(before):
        pass
    begun = loop.time()
    with pytest.raises(TimeoutError), watch.within(0.02):
        await asyncio.Event().wait()
    assert loop.time() >= begun + 0.02


async def test_a_limit_in_the_past_ends_the_wait() -> None:
    watch = Watch()
    with pytest.raises(TimeoutError), watch.until(0):
        await asyncio.Event().wait()


async def test_a_task_that_is_cancelled_as_well_stays_so() -> None:
    watch = Watch()

    async def wait() -> None:
        with watch.within(0):
            await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    task.get_loop().call_soon(task.cancel)
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_other_errors_are_not_its_business() -> None:
    watch = Watch()
    with pytest.raises(ValueError, match="mine"), watch.within(3_600):
        raise ValueError("mine")


async def test_a_closed_one_leaves_no_timer() -> None:
    watch = Watch()
    with watch.within(3_600):
        pass
    watch.close()
    watch.close()
    with watch.within(3_600):  # and may be used again
        await asyncio.sleep(0)
    watch.close()
