"""The first request of all, which finds no container."""

from typing import Any

import pytest

from tests.integration.modal.cloud import Cloud, booked

pytestmark = pytest.mark.anyio

QUESTION: Any = [{"role": "user", "content": "What is Penstock?"}]


async def test_the_first_request_over_https_is_cold_and_answered(cloud: Cloud) -> None:
    before = [container["id"] for container in cloud.containers("Gate", "starting", "ready")]
    for container in before:
        cloud.plane.kill(container)
    async with cloud.edge() as client:
        stream = await client.chat.completions.create(
            model="demo", messages=QUESTION, max_tokens=24, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert "Penstock" in text
    usage = chunks[-1].usage
    assert usage is not None
    record = await booked("req_" + chunks[0].id.removeprefix("chatcmpl-"))
    assert record.usage.prompt_tokens == usage.prompt_tokens
    assert record.usage.completion_tokens == usage.completion_tokens
    (container,) = cloud.containers("Gate", "ready")
    log = cloud.plane.log(container["id"])
    assert '"event":"cold_start"' in log
    assert '"event":"first_token"' in log
