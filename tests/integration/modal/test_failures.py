"""What goes wrong in the cloud: refusals, a model that is not there, containers that die or are replaced."""

import asyncio
from typing import Any

import httpx2
import modal
import openai
import pytest

from penstock import keys
from penstock.client import (
    AsyncPenstock,
    BadRequest,
    Misconfigured,
    NotAvailable,
    NotFound,
    ServerError,
    Unauthenticated,
    Unavailable,
)
from penstock.errors import ApiError
from tests.integration.modal.cloud import APP, KEY, Cloud, booked, findings, on_ledger

pytestmark = pytest.mark.anyio

STORY: Any = [{"role": "user", "content": "Tell me a story."}]
ASKED: dict[str, Any] = {"model": "demo", "messages": STORY, "max_tokens": 900, "ignore_eos": True}
LONG: dict[str, Any] = {"model": "demo", "messages": STORY, "max_tokens": 900, "extra_body": {"ignore_eos": True}}


async def test_a_direct_call_is_refused_with_typed_errors(cloud: Cloud) -> None:
    async with cloud.direct() as penstock:
        with pytest.raises(BadRequest) as wrong:
            await penstock.chat.completions.create(model="demo", messages=STORY, temperature=9)
        with pytest.raises(NotFound, match="does not exist"):
            await penstock.chat.completions.create(model="another", messages=STORY)
        with pytest.raises(NotAvailable):
            await penstock.chat.completions.create(model="demo", messages=STORY, idempotency_key="once")
    assert (wrong.value.status, wrong.value.param) == (400, "temperature")
    async with cloud.direct(api_key=keys.mint().reveal()) as stranger:
        with pytest.raises(Unauthenticated):
            await stranger.chat.completions.create(model="demo", messages=STORY)
    async with AsyncPenstock.direct(app=APP, model="missing") as missing:
        with pytest.raises(Misconfigured, match="not deployed"):
            await missing.chat.completions.create(model="missing", messages=STORY)


async def test_any_program_gets_the_packages_own_error(cloud: Cloud) -> None:
    with pytest.raises(ApiError) as refused:
        await cloud.generator().complete.remote.aio({"messages": []}, api_key=KEY.reveal())
    assert (refused.value.status, refused.value.param) == (400, "messages")


async def test_a_model_without_weights_is_told_at_once_over_https(cloud: Cloud) -> None:
    async with cloud.edge() as client:
        with pytest.raises(openai.APIStatusError) as refused:
            await client.chat.completions.create(model="unpulled", messages=STORY)
    assert refused.value.status_code == 503
    assert refused.value.code == "model_unreadable"
    (container,) = cloud.containers("Gate", model="unpulled")
    assert "penstock weights pull unpulled" in cloud.plane.log(container["id"])


async def test_a_model_without_weights_is_told_directly(cloud: Cloud) -> None:
    async with cloud.direct("unpulled", max_retries=0) as penstock:
        with pytest.raises(Unavailable, match="cannot be loaded") as refused:
            await penstock.chat.completions.create(model="unpulled", messages=STORY)
    assert refused.value.code == "model_unreadable"


async def test_nobody_passes_the_proxy_without_its_credentials(cloud: Cloud) -> None:
    before = len(cloud.containers("Gate"))
    async with httpx2.AsyncClient(trust_env=False) as http:
        refused = await http.post(f"{cloud.gate()}/v1/chat/completions", json=ASKED)
    assert refused.status_code == 401
    assert len(cloud.containers("Gate")) == before


async def test_a_container_killed_in_a_stream_over_https_ends_it_with_an_error(cloud: Cloud) -> None:
    async with cloud.edge() as client:
        stream = await client.chat.completions.create(**LONG, stream=True)
        first = await anext(stream)
        (container,) = cloud.containers("Gate", "ready")
        cloud.plane.kill(container["id"])
        with pytest.raises(openai.APIError) as broken:
            async for _ in stream:
                pass
        assert "broke off" in str(broken.value)
        answer = await client.chat.completions.create(model="demo", messages=STORY, max_tokens=4)
    assert answer.usage is not None
    request_id = "req_" + first.id.removeprefix("chatcmpl-")
    # Nobody settles it now: its lease ends by itself, at its last checkpoint, and never bills what was not told.
    assert await on_ledger(lambda ledger: ledger.record(request_id)) is None
    assert await findings() == ()


async def test_a_container_killed_in_a_direct_stream_is_told_and_not_paid_twice(cloud: Cloud) -> None:
    async with cloud.direct() as penstock:
        stream = await penstock.chat.completions.create(**ASKED, stream=True)
        await anext(stream)
        (container,) = cloud.containers("Generator", "ready")
        cloud.plane.kill(container["id"])
        with pytest.raises(ServerError) as broken:
            async for _ in stream:
                pass
    assert broken.value.code == "interrupted"
    assert await findings() == ()


async def test_a_whole_direct_call_whose_container_dies_is_told(cloud: Cloud) -> None:
    async with cloud.direct() as penstock:
        await penstock.chat.completions.create(model="demo", messages=STORY, max_tokens=2)  # a container is there
        asking = asyncio.create_task(penstock.chat.completions.create(**ASKED))
        (container,) = await asyncio.to_thread(
            cloud.plane.wait,
            lambda _: [each for each in cloud.containers("Generator", "ready") if each["inputs"]],
            "the call is running",
        )
        await asyncio.sleep(0.2)  # it was claimed by then, or is delivered again as if new: either is right
        cloud.plane.kill(container["id"])
        try:
            answer = await asking
        except ServerError as error:
            assert error.code == "interrupted"  # noqa: PT017 (either is right)
        else:
            record = await booked("req_" + answer.id.removeprefix("chatcmpl-"))
            assert record.usage.completion_tokens == answer.usage.completion_tokens


async def test_a_deploy_during_streams_lets_them_end(cloud: Cloud) -> None:
    asked = {**ASKED, "max_tokens": 400, "stream_options": {"include_usage": True}, "stream": True}
    over_https = {**LONG, "max_tokens": 400, "stream_options": {"include_usage": True}, "stream": True}
    async with cloud.edge() as client, cloud.direct() as penstock:
        https = await client.chat.completions.create(**over_https)
        direct = await penstock.chat.completions.create(**asked)
        chunks = [[await anext(https)], [await anext(direct)]]
        before = {each["id"] for kind in ("Gate", "Generator") for each in cloud.containers(kind, "ready")}
        await asyncio.to_thread(cloud.deploy)
        async with asyncio.TaskGroup() as group:
            group.create_task(_drain(https, chunks[0]))
            group.create_task(_drain(direct, chunks[1]))
        after = await client.chat.completions.create(model="demo", messages=STORY, max_tokens=4)
    for told in chunks:
        assert told[-1].usage.completion_tokens == 400
        record = await booked("req_" + told[0].id.removeprefix("chatcmpl-"))
        assert (record.outcome, record.usage.completion_tokens) == ("completed", 400)
    assert after.usage is not None
    (new,) = cloud.containers("Gate", "ready")
    assert new["id"] not in before
    assert await findings() == ()


async def _drain(stream: Any, chunks: list[Any]) -> None:
    async for chunk in stream:
        chunks.append(chunk)  # noqa: PERF401 (into a list that is looked at elsewhere)


async def test_a_cancelled_spawn_is_cancelled(cloud: Cloud) -> None:
    request = {"messages": STORY, "max_tokens": 900, "ignore_eos": True}
    call = await cloud.generator().complete.spawn.aio(request)
    await asyncio.to_thread(
        cloud.plane.wait,
        lambda _: [each for each in cloud.containers("Generator", "ready") if each["inputs"]],
        "the call is running",
    )
    await call.cancel.aio()
    with pytest.raises(modal.exception.Error):  # which of them is Modal's to say
        await call.get.aio(timeout=60)
