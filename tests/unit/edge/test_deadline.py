"""The deadline: what is not done by then is cancelled, and what then takes too long is left alone."""

import asyncio
from types import SimpleNamespace

import pytest

from functions.edge import deadline
from functions.edge.deadline import MARGIN_S, Deadline, deadline_of

pytestmark = pytest.mark.anyio


def context(remaining_ms: int) -> SimpleNamespace:
    """An invocation's, with so much time left."""
    return SimpleNamespace(get_remaining_time_in_millis=lambda: remaining_ms)


async def test_it_is_the_functions_with_a_margin() -> None:
    found = deadline_of({"type": "http", "aws.context": context(60_000)})
    assert found is not None
    assert 0 < found.remaining() <= 60 - MARGIN_S
    late = deadline_of({"type": "http", "aws.context": context(int(MARGIN_S * 500))})
    assert late is not None
    assert late.remaining() == 0


async def test_without_a_function_there_is_none() -> None:
    assert deadline_of({"type": "http"}) is None
    assert deadline_of({"type": "http", "aws.context": None}) is None


async def test_what_is_done_in_time_is_done() -> None:
    one = Deadline(60)
    assert await one.hold(asyncio.sleep(0))
    assert not one.passed


async def test_what_it_raises_is_raised() -> None:
    async def fail() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await Deadline(60).hold(fail())


async def test_what_is_not_done_is_cancelled_and_may_clean_up() -> None:
    cleaned = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            assert one.passed
            await asyncio.sleep(0)
            cleaned.set()

    one = Deadline(0)
    assert not await one.hold(work())
    assert cleaned.is_set()


async def test_what_does_not_end_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadline, "GRACE_S", 0.01)
    go_on, done = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await go_on.wait()
            done.set()
            raise LookupError  # nobody is left to hear of it

    assert not await Deadline(0).hold(work())
    assert not done.is_set()
    go_on.set()
    await asyncio.wait_for(done.wait(), 20)


async def test_who_is_cancelled_himself_takes_the_work_with_him() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    holding = asyncio.create_task(Deadline(60).hold(work()))
    await begun.wait()
    holding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await holding
    assert ended.is_set()
