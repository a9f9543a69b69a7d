"""Each way to a deployed model: what it answers, and that the ledger has what the client counted."""

import json
from typing import Any

import pytest

from penstock import errors
from penstock.admission import request_id_of
from penstock.batches.log import entries, results
from penstock.client import AsyncPenstock, BadRequest, NotFound, Penstock
from penstock.objects import open_objects
from tests.integration.gpu.shard_stand import BATCH, number_of, order, put_shard
from tests.integration.modal.cloud import APP, KEY, OBJECTS, PATIENCE_S, Cloud, booked, fresh_key, on_ledger

pytestmark = pytest.mark.anyio

QUESTION: Any = [{"role": "user", "content": "What is Penstock?"}]


async def test_the_sdk_calls_directly(cloud: Cloud) -> None:
    async with cloud.direct() as penstock:
        answer = await penstock.chat.completions.create(model="demo", messages=QUESTION, max_tokens=16)
        told = await penstock.completions.create(model="demo", prompt="Penstock is", max_tokens=8, temperature=0)
        embedded = await penstock.embeddings.create(model="demo", input=["one", "two"])
        stream = await penstock.chat.completions.create(
            model="demo", messages=QUESTION, max_tokens=16, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
    record = await booked("req_" + answer.id.removeprefix("chatcmpl-"))
    assert (record.usage.prompt_tokens, record.usage.completion_tokens) == (
        answer.usage.prompt_tokens,
        answer.usage.completion_tokens,
    )
    assert told.choices[0].text
    assert [len(each.embedding) for each in embedded.data] == [192, 192]
    assert stream.request_id is not None
    streamed = await booked(stream.request_id)
    assert chunks[-1].usage is not None
    assert streamed.usage.completion_tokens == chunks[-1].usage.completion_tokens
    assert (streamed.account_id, streamed.key_id) == ("acme", KEY.id)


def test_the_sdk_calls_directly_without_an_event_loop(cloud: Cloud) -> None:
    with Penstock.direct(app=APP, model="demo", api_key=KEY.reveal()) as penstock:
        answer = penstock.chat.completions.create(model="demo", messages=QUESTION, max_tokens=8)
        with penstock.chat.completions.create(model="demo", messages=QUESTION, max_tokens=8, stream=True) as stream:
            text = "".join(choice.delta.content or "" for chunk in stream for choice in chunk.choices)
    assert answer.choices[0].message.content
    assert text


async def test_every_path_says_the_same(cloud: Cloud) -> None:
    asked: dict[str, Any] = {"model": "demo", "messages": QUESTION, "max_tokens": 24, "temperature": 0}
    async with cloud.edge() as client, cloud.direct() as penstock:
        https = await client.chat.completions.create(**asked)
        direct = await penstock.chat.completions.create(**asked)
        raw = await cloud.generator().complete.remote.aio(asked, api_key=KEY.reveal())
    text = https.choices[0].message.content
    assert direct.choices[0].message.content == text
    assert raw["choices"][0]["message"]["content"] == text


async def test_any_program_streams_several_tokens_an_item(cloud: Cloud) -> None:
    request = {"messages": QUESTION, "max_tokens": 48, "stream_options": {"include_usage": True}}
    items = [item async for item in cloud.generator().generate.remote_gen.aio(request, api_key=KEY.reveal())]
    assert set(items[0]) == {"call", "request"}
    assert items[0]["call"].startswith("fc-")
    chunks = [chunk for item in items[1:] for chunk in item]
    assert len(items) - 1 < len(chunks)
    record = await booked(items[0]["request"])
    assert record.usage.completion_tokens == chunks[-1]["usage"]["completion_tokens"]


async def test_spawned_and_mapped_calls_are_answered_and_booked(cloud: Cloud) -> None:
    generator = cloud.generator()
    spawned = await generator.complete.spawn.aio({"messages": QUESTION, "max_tokens": 8})  # the service key pays
    answer = await spawned.get.aio(timeout=60)
    requests = [{"prompt": f"{number} and", "max_tokens": 4} for number in range(12)]
    mapped = [each async for each in generator.complete.map.aio(requests, kwargs={"api_key": KEY.reveal()})]
    embedded = await generator.embed.remote.aio({"input": "text"}, api_key=KEY.reveal())
    assert answer["choices"][0]["message"]["content"]
    assert [each["object"] for each in mapped] == ["text_completion"] * 12
    assert embedded["usage"]["prompt_tokens"] > 0
    for each in mapped:
        record = await booked("req_" + each["id"].removeprefix("cmpl-"))
        assert record.usage.completion_tokens == each["usage"]["completion_tokens"]


async def test_a_worker_carries_out_an_order_once(cloud: Cloud) -> None:
    from modal import Cls

    key = await fresh_key()
    good = {"model": "demo", "messages": QUESTION, "max_tokens": 8}
    objects = await open_objects(OBJECTS)
    await put_shard(objects, [good, {**good, "temperature": 9}, good])
    run = Cls.from_name(APP, "Worker_demo")().run
    call = await run.spawn.aio(order(key_id=key.id))
    outcome = await call.get.aio(timeout=PATIENCE_S)
    again = await run.remote.aio(order(key_id=key.id))
    found = results([entry async for entry in entries(objects, BATCH, 0)])
    await objects.close()
    assert outcome == again
    assert (outcome["completed"], outcome["failed"]) == (2, 1)
    assert [found[number_of(place)].status for place in range(3)] == [200, 400, 200]
    usages = [json.loads(each.body)["usage"] for each in found.values() if each.status == 200]
    rows = await on_ledger(lambda ledger: ledger.usage(key_id=key.id))
    assert [row.requests for row in rows] == [2]
    assert rows[0].usage.completion_tokens == sum(usage["completion_tokens"] for usage in usages)
    with pytest.raises(errors.BadRequest, match="no order"):
        await run.remote.aio({"lines": []})


async def test_parameters_are_honoured_on_the_direct_path(cloud: Cloud) -> None:
    async with cloud.direct() as penstock:
        seeded = [
            await penstock.chat.completions.create(
                model="demo", messages=QUESTION, max_tokens=12, temperature=1.5, seed=7, n=2, logprobs=True
            )
            for _ in range(2)
        ]
        stopped = await penstock.completions.create(model="demo", prompt="a", max_tokens=40, temperature=0, stop=" ")
    assert [c.message.content for c in seeded[0].choices] == [c.message.content for c in seeded[1].choices]
    assert len(seeded[0].choices) == 2
    assert seeded[0].choices[0].logprobs is not None
    assert " " not in stopped.choices[0].text


async def test_without_a_key_the_deployments_own_pays(cloud: Cloud) -> None:
    async with AsyncPenstock.direct(app=APP, model="demo") as penstock:
        answer = await penstock.chat.completions.create(model="demo", messages=QUESTION, max_tokens=4)
    record = await booked("req_" + answer.id.removeprefix("chatcmpl-"))
    assert record.key_id == KEY.id


async def test_models_and_usage_are_told_directly_as_over_https(cloud: Cloud) -> None:
    key = await fresh_key()
    async with cloud.edge() as client, cloud.direct(api_key=key.reveal()) as penstock:
        https = await client.models.list()
        direct = await penstock.models.list()
        one = await penstock.models.retrieve("demo")
        before = await penstock.usage.list(group_by=["model"])
        answer = await penstock.chat.completions.create(model="demo", messages=QUESTION, max_tokens=4)
        await booked("req_" + answer.id.removeprefix("chatcmpl-"))
        after = await penstock.usage.list(group_by=["model"])
        with pytest.raises(BadRequest) as wrong:
            await penstock.usage.list(since="yesterday")
        with pytest.raises(NotFound):
            await penstock.models.retrieve("missing")
    assert [each.id for each in direct.data] == [each.id for each in https.data]
    assert one.id == direct.data[0].id
    assert after.total_requests == before.total_requests + 1
    assert wrong.value.param == "since"


def test_a_call_has_one_name_however_often_it_is_delivered() -> None:
    assert request_id_of("in-1") == request_id_of("in-1")
    assert request_id_of("in-1") != request_id_of("in-2")
