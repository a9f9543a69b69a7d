"""Thirty-two streams at once in one container, on either path: each is answered whole, and billed what it counted."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.integration.modal.cloud import Cloud, booked, findings

pytestmark = pytest.mark.anyio

AT_ONCE = 32


def asked(number: int) -> dict[str, Any]:
    """Requests that differ in length, and in their answers'."""
    text = f"Tell me about number {number}. " * (1 + number % 3)
    return {
        "model": "demo",
        "messages": [{"role": "user", "content": text}],
        "max_tokens": 12 + number,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def counted(create: Callable[..., Awaitable[Any]]) -> dict[str, tuple[int, int]]:
    """The usage of every stream, as its client read it, by the request's id."""

    async def read(number: int) -> tuple[str, tuple[int, int]]:
        stream = await create(**asked(number))
        chunks = [chunk async for chunk in stream]
        usage = chunks[-1].usage
        assert any(choice.finish_reason for chunk in chunks for choice in chunk.choices)
        return "req_" + chunks[0].id.removeprefix("chatcmpl-"), (usage.prompt_tokens, usage.completion_tokens)

    return dict(await asyncio.gather(*(read(number) for number in range(AT_ONCE))))


@pytest.mark.parametrize("path", ["https", "direct"])
async def test_thirty_two_streams_are_answered_and_booked(cloud: Cloud, path: str) -> None:
    if path == "https":
        async with cloud.edge() as client:
            usages = await counted(client.chat.completions.create)
    else:
        async with cloud.direct() as penstock:
            usages = await counted(penstock.chat.completions.create)
    assert len(usages) == AT_ONCE
    records = [await booked(request_id) for request_id in usages]
    told = [(record.usage.prompt_tokens, record.usage.completion_tokens) for record in records]
    assert told == list(usages.values())
    assert len(cloud.containers("Gate" if path == "https" else "Generator", "ready")) == 1
    assert await findings() == ()
