"""Places for lines: as many as there are, in the order in which they were asked for, and none is lost."""

import asyncio

import pytest

from functions.gpu.shards.capacity import Capacity
from penstock.settings import GpuSettings
from tests.integration.gpu.stand import TICKET_KEYS

pytestmark = pytest.mark.anyio


async def soon(task: "asyncio.Task[None]") -> bool:
    for _ in range(20):
        await asyncio.sleep(0)
    return task.done()


async def test_who_asks_first_is_served_first_however_much_it_asks() -> None:
    capacity = Capacity(10)
    await capacity.take(6)
    large = asyncio.create_task(capacity.take(8))
    small = asyncio.create_task(capacity.take(1))
    assert not await soon(large)
    assert not await soon(small)
    capacity.give(4)
    assert await soon(large)
    assert not await soon(small)
    capacity.give(1)
    assert await soon(small)


async def test_who_gives_up_gives_back_what_it_had() -> None:
    capacity = Capacity(10)
    await capacity.take(6)
    waiting = asyncio.create_task(capacity.take(8))
    assert not await soon(waiting)
    waiting.cancel()
    await asyncio.wait({waiting})
    capacity.give(6)
    whole = asyncio.create_task(capacity.take(10))
    assert await soon(whole)


@pytest.mark.parametrize(
    ("max_running", "max_waiting", "most"), [(64, 256, 128), (64, 128, 96), (512, 1_024, 768), (1, 2, 1), (1, 1, 1)]
)
def test_an_engine_is_kept_busy_and_its_queue_is_not_filled(max_running: int, max_waiting: int, most: int) -> None:
    settings = GpuSettings(
        ledger_url="sqlite:////ledger.db",
        ticket_keys=TICKET_KEYS,
        model="demo",
        max_running=max_running,
        max_waiting=max_waiting,
    )
    assert Capacity.of(settings).most == most


@pytest.mark.parametrize(
    ("most", "lines", "in_slice"),
    [
        (128, 2_000, 256),
        (128, 10_000, 256),
        (128, 800, 200),
        (128, 100, 42),
        (128, 1, 42),
        (96, 2_000, 192),
        (768, 2_000, 256),
        (2, 2_000, 4),
        (1, 2_000, 2),
        (1, 1, 1),
    ],
)
def test_a_slice_is_large_but_a_part_of_its_shard_and_two_rounds_of_the_places(
    most: int, lines: int, in_slice: int
) -> None:
    assert Capacity(most).in_slice(lines) == in_slice
