"""A stream that its client leaves: the GPU stops, and what was generated is settled."""

import asyncio
import re
from typing import Any

import pytest

from penstock.client import Penstock, TimedOut
from tests.integration.modal.cloud import APP, KEY, Cloud, booked

pytestmark = pytest.mark.anyio

STORY: Any = [{"role": "user", "content": "Tell me a story."}]
LONG: dict[str, Any] = {"model": "demo", "messages": STORY, "max_tokens": 900, "extra_body": {"ignore_eos": True}}
ASKED: dict[str, Any] = {"model": "demo", "messages": STORY, "max_tokens": 900, "ignore_eos": True}


async def test_over_https_leaving_ends_the_generation(cloud: Cloud) -> None:
    async with cloud.edge() as client:
        stream = await client.chat.completions.create(**LONG, stream=True)
        first = await anext(stream)
        await stream.close()
        record = await booked("req_" + first.id.removeprefix("chatcmpl-"))
    assert record.outcome == "cancelled"
    assert 0 < record.usage.completion_tokens < 900


async def test_closing_a_direct_stream_cancels_its_call(cloud: Cloud) -> None:
    async with cloud.direct() as penstock:
        stream = await penstock.chat.completions.create(**ASKED, stream=True)
        async with stream:
            await anext(stream)
        assert stream.request_id is not None
        record = await booked(stream.request_id)
    assert record.outcome == "cancelled"
    assert 0 < record.usage.completion_tokens < 900


async def test_cancelling_who_reads_a_direct_stream_cancels_its_call(cloud: Cloud) -> None:
    ids: asyncio.Queue[str | None] = asyncio.Queue()

    async def read() -> None:
        async with cloud.direct() as penstock:
            stream = await penstock.chat.completions.create(**ASKED, stream=True)
            async with stream:
                async for _ in stream:
                    ids.put_nowait(stream.request_id)

    reading = asyncio.create_task(read())
    request_id = await ids.get()
    reading.cancel()
    await asyncio.wait({reading})
    assert reading.cancelled()
    assert request_id is not None
    record = await booked(request_id)
    assert record.outcome == "cancelled"
    assert record.usage.completion_tokens < 900


def test_leaving_the_block_of_a_blocking_stream_cancels_its_call(cloud: Cloud) -> None:
    with (
        Penstock.direct(app=APP, model="demo", api_key=KEY.reveal()) as penstock,
        penstock.chat.completions.create(**ASKED, stream=True) as stream,
    ):
        next(stream)
    assert stream.request_id is not None
    record = asyncio.run(booked(stream.request_id))
    assert record.outcome == "cancelled"
    assert record.usage.completion_tokens < 900


async def test_a_whole_answer_that_takes_too_long_is_cancelled(cloud: Cloud) -> None:
    before = set(_requests(cloud))
    async with cloud.direct(max_retries=0, timeout=0.2) as penstock:
        with pytest.raises(TimedOut):
            await penstock.chat.completions.create(**ASKED)
    request_id = await asyncio.to_thread(
        cloud.plane.wait, lambda _: next(iter(set(_requests(cloud)) - before), None), "the call's end is in the log"
    )
    record = await booked(request_id)
    assert record.outcome == "cancelled"
    assert record.usage.completion_tokens < 900


async def test_many_leave_and_their_neighbours_are_answered(cloud: Cloud) -> None:
    async with cloud.direct() as penstock:

        async def leave() -> str:
            async with await penstock.chat.completions.create(**ASKED, stream=True) as stream:
                await anext(stream)
                return str(stream.request_id)

        async def stay() -> Any:
            return await penstock.chat.completions.create(**{**ASKED, "max_tokens": 40})

        async with asyncio.TaskGroup() as group:
            leaving = [group.create_task(leave()) for _ in range(6)]
            staying = [group.create_task(stay()) for _ in range(6)]
        left = [await booked(task.result()) for task in leaving]
    assert {record.outcome for record in left} == {"cancelled"}
    assert all(record.usage.completion_tokens < 900 for record in left)
    assert [task.result().usage.completion_tokens for task in staying] == [40] * 6


def _requests(cloud: Cloud) -> list[str]:
    """The requests whose end stands in the logs of the containers that are called."""
    logs = "".join(cloud.plane.log(container["id"]) for container in cloud.containers("Generator"))
    return re.findall(r'"request_id":"(req_\w+)","route":"/v1/chat', logs)
