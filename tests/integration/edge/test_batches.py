"""`/v1/batches` over real connections, by OpenAI's client. What happens to a batch is played here, in the book."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx2
import openai
import pytest
from openai.types import Batch as OpenAIBatch

from penstock.batches import addresses
from penstock.batches.records import Batch, File, FileState, InputError, Purpose, Status, new_file_id
from penstock.clock import SECOND, now_ms
from penstock.ledger import Switch, Usage
from penstock.objects import Missing, ObjectsUnavailable
from tests.integration.edge.conftest import Deploy, Logged
from tests.integration.edge.deployment import Deployment, enrol
from tests.integration.edge.test_files import LINES, client_of, error_of

pytestmark = pytest.mark.anyio

COMPLETIONS = "/v1/completions"


@pytest.fixture
async def client(deployment: Deployment) -> AsyncIterator[openai.AsyncOpenAI]:
    """The owner's."""
    async with client_of(deployment) as client:
        yield client


async def uploaded(client: openai.AsyncOpenAI) -> str:
    """The id of a file of lines."""
    return (await client.files.create(file=("in.jsonl", LINES), purpose="batch")).id


async def begun(client: openai.AsyncOpenAI, **changes: Any) -> OpenAIBatch:
    """A batch of a new file."""
    asked: dict[str, Any] = {"endpoint": COMPLETIONS, "completion_window": "24h", **changes}
    return await client.batches.create(
        input_file_id=asked.pop("input_file_id", None) or await uploaded(client), **asked
    )


async def played(deployment: Deployment, batch_id: str, **changes: Any) -> Batch:
    """The batch after this has happened to it."""
    book = await deployment.edge.storage.book()
    batch = await book.batch(batch_id)
    assert batch is not None
    changed = replace(batch, **changes)
    assert await book.change_batch(changed)
    return changed


async def post(deployment: Deployment, body: Any, **headers: str) -> httpx2.Response:
    """Ask for a batch."""
    return await deployment.client.post("/v1/batches", json=body, headers={**deployment.owner.bearer, **headers})


def asked_for(file_id: str, **changes: Any) -> dict[str, Any]:
    """What is asked of a batch."""
    return {"input_file_id": file_id, "endpoint": COMPLETIONS, "completion_window": "24h", **changes}


# -- a batch's life


async def test_a_batch_is_written_down_and_poked(deployment: Deployment, client: openai.AsyncOpenAI) -> None:
    file_id, before = await uploaded(client), now_ms() // SECOND
    made = await begun(client, input_file_id=file_id, metadata={"night": "one"})
    assert (made.object, made.status, made.endpoint, made.input_file_id) == (
        "batch",
        "validating",
        COMPLETIONS,
        file_id,
    )
    assert (made.completion_window, made.metadata, made.errors) == ("24h", {"night": "one"}, None)
    assert before <= made.created_at <= now_ms() // SECOND
    assert made.expires_at == made.created_at + 24 * 60 * 60
    assert (made.output_file_id, made.error_file_id, made.completed_at, made.in_progress_at) == (None,) * 4
    storage, owner = deployment.edge.storage, deployment.owner
    assert await (await storage.objects()).size(addresses.poke(made.id)) is not None
    stored = await (await storage.book()).batch(made.id)
    assert stored is not None
    assert (stored.account_id, stored.key_id) == (owner.caller.account.id, owner.key.id)
    assert stored.output_life_s is None
    folder = f"files/{owner.caller.account.id}/file-"
    assert stored.input_address == folder.removesuffix("file-") + file_id
    assert stored.output_address.startswith(folder)
    assert stored.error_address.startswith(folder)
    assert len({stored.input_address, stored.output_address, stored.error_address}) == 3
    assert await (await storage.book()).open_batches() == [made.id]
    assert await client.batches.retrieve(made.id) == made


async def test_how_far_it_has_come_is_told(deployment: Deployment, client: openai.AsyncOpenAI) -> None:
    made = await begun(client)
    usage = Usage(prompt_tokens=20, cached_prompt_tokens=8, completion_tokens=5)
    await played(
        deployment,
        made.id,
        status=Status.COMPLETED,
        in_progress_at=2_000,
        finalizing_at=3_999,
        ended_at=4_000,
        lines=9,
        completed=5,
        failed=4,
        usage=usage,
        model="demo",
        output_file_id="file-1",
        error_file_id="file-2",
    )
    told = await client.batches.retrieve(made.id)
    assert (told.status, told.in_progress_at, told.finalizing_at, told.completed_at) == ("completed", 2, 3, 4)
    assert (told.failed_at, told.expired_at, told.cancelled_at, told.cancelling_at) == (None,) * 4
    assert told.request_counts is not None
    assert told.usage is not None
    assert (told.request_counts.total, told.request_counts.completed, told.request_counts.failed) == (9, 5, 4)
    assert (told.usage.input_tokens, told.usage.input_tokens_details.cached_tokens) == (20, 8)
    assert (told.usage.output_tokens, told.usage.total_tokens) == (5, 25)
    assert (told.output_file_id, told.error_file_id, told.model) == ("file-1", "file-2", "demo")


@pytest.mark.parametrize("status", [Status.FAILED, Status.EXPIRED, Status.CANCELLED])
async def test_each_end_has_its_time(deployment: Deployment, client: openai.AsyncOpenAI, status: Status) -> None:
    made = await begun(client)
    await played(deployment, made.id, status=status, ended_at=7_000)
    told = (await client.batches.retrieve(made.id)).model_dump()
    ends = {name: told[f"{name}_at"] for name in ("completed", "failed", "expired", "cancelled")}
    assert ends == {name: 7 if name == status else None for name in ends}


async def test_what_is_wrong_with_the_input_is_told_by_line(deployment: Deployment, client: openai.AsyncOpenAI) -> None:
    made = await begun(client)
    errors = (InputError("invalid_json_line", "Line 3 is no JSON.", 3), InputError("empty_file", "Empty.", None, "x"))
    await played(deployment, made.id, status=Status.FAILED, ended_at=7_000, errors=errors, more_errors=True)
    told = (await client.batches.retrieve(made.id)).errors
    assert told is not None
    assert told.data is not None
    assert (told.object, told.model_extra) == ("list", {"has_more": True})
    assert [(one.code, one.message, one.line, one.param) for one in told.data] == [
        ("invalid_json_line", "Line 3 is no JSON.", 3, None),
        ("empty_file", "Empty.", None, "x"),
    ]


# -- what is asked for


@pytest.mark.parametrize(
    ("changes", "code", "param"),
    [
        ({"input_file_id": "in.jsonl"}, "invalid_value", "input_file_id"),
        ({"endpoint": "/v1/responses"}, "invalid_value", "endpoint"),
        ({"completion_window": "25"}, "invalid_value", "completion_window"),
        ({"completion_window": "0h"}, "invalid_value", "completion_window"),
        ({"completion_window": "169h"}, "invalid_value", "completion_window"),
        ({"completion_window": 24}, "invalid_type", "completion_window"),
        ({"metadata": {"a": 1}}, "invalid_type", "metadata.a"),
        ({"metadata": {str(number): "" for number in range(17)}}, "invalid_value", "metadata"),
        ({"metadata": {"a": "x" * 513}}, "invalid_value", "metadata.a"),
        ({"metadata": {"a" * 65: ""}}, "invalid_value", "metadata." + "a" * 64 + ".[key]"),
        (
            {"output_expires_after": {"anchor": "created_at", "seconds": 60}},
            "invalid_value",
            "output_expires_after.seconds",
        ),
        ({"surprise": 1}, "unknown_parameter", "surprise"),
    ],
)
async def test_what_is_asked_for_is_read_strictly(
    deployment: Deployment, changes: dict[str, Any], code: str, param: str
) -> None:
    assert error_of(await post(deployment, {**asked_for("file-1"), **changes})) == (400, code, param)


@pytest.mark.parametrize(("window", "seconds"), [("1h", 3_600), ("24h", 86_400), ("168h", 604_800)])
async def test_windows_are_whole_hours(client: openai.AsyncOpenAI, window: Any, seconds: int) -> None:
    made = await begun(client, completion_window=window)
    assert made.expires_at is not None
    assert (made.completion_window, made.expires_at - made.created_at) == (window, seconds)


async def test_when_its_files_expire_is_the_callers_to_say(deployment: Deployment, client: openai.AsyncOpenAI) -> None:
    made = await begun(client, output_expires_after={"anchor": "created_at", "seconds": 7_200})
    stored = await (await deployment.edge.storage.book()).batch(made.id)
    assert stored is not None
    assert stored.output_life_s == 7_200


async def test_only_a_file_of_the_account_that_is_whole_and_for_batches(
    deployment: Deployment, client: openai.AsyncOpenAI
) -> None:
    book, now, account = await deployment.edge.storage.book(), now_ms(), deployment.owner.caller.account.id

    async def added(**changes: Any) -> str:
        file = File(new_file_id(now), account, Purpose.BATCH, "x", 10, "files/a/x", now)
        await book.add_file(replace(file, **changes))
        return file.id

    for file_id, error in (
        ("file-none", (404, "file_not_found", "input_file_id")),
        (await added(account_id="another"), (404, "file_not_found", "input_file_id")),
        (await added(expires_at=now), (404, "file_not_found", "input_file_id")),
        (await added(purpose=Purpose.BATCH_OUTPUT), (400, "invalid_value", "input_file_id")),
        (await added(state=FileState.PENDING), (400, "file_not_ready", "input_file_id")),
    ):
        assert error_of(await post(deployment, asked_for(file_id))) == error
    assert await book.open_batches() == []
    pending = await added(state=FileState.PENDING)
    await (await deployment.edge.storage.objects()).put("files/a/x", b"x" * 10)
    assert (await post(deployment, asked_for(pending))).status_code == 200


async def test_a_key_needs_the_group_of_the_lines_too(deployment: Deployment) -> None:
    owner = await enrol(deployment.ledger, routes=frozenset({"files", "batches", "chat"}))
    async with client_of(deployment, owner) as client:
        file_id = await uploaded(client)
        with pytest.raises(openai.PermissionDeniedError) as refused:
            await begun(client, input_file_id=file_id)
        assert refused.value.code == "route_not_allowed"
        await begun(client, input_file_id=file_id, endpoint="/v1/chat/completions")


async def test_nothing_is_begun_while_everybody_is_switched_off(
    deployment: Deployment, client: openai.AsyncOpenAI
) -> None:
    file_id = await uploaded(client)
    await deployment.ledger.set_switch(Switch(on=False, reason="maintenance"))
    assert error_of(await post(deployment, asked_for(file_id)))[:2] == (503, "service_off")


async def test_too_many_unfinished_batches_are_a_429(
    deployment: Deployment, client: openai.AsyncOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("functions.edge.routes.batches.create.UNFINISHED", 2)
    first = await begun(client)
    await begun(client)
    response = await post(deployment, asked_for(await uploaded(client)))
    assert error_of(response) == (429, "too_many_batches", None)
    assert response.headers["retry-after"] == "60"
    await played(deployment, first.id, status=Status.COMPLETED)
    await begun(client)


# -- lists, and whose batches they are


async def test_lists_are_newest_first_and_in_pages(client: openai.AsyncOpenAI) -> None:
    file_id = await uploaded(client)
    made = [(await begun(client, input_file_id=file_id)).id for _ in range(5)]
    newest = sorted(made, reverse=True)  # of one millisecond, in any order
    for limit in (1, 2, 4, 5, 100):
        assert [batch.id async for batch in client.batches.list(limit=limit)] == newest
    assert (await client.batches.list(limit=4)).has_more
    assert not (await client.batches.list(limit=5)).has_more


@pytest.mark.parametrize(
    ("query", "param"),
    [("limit=101", "limit"), ("limit=0", "limit"), ("after=file-1", "after"), ("order=asc", "order")],
)
async def test_a_list_is_asked_for_strictly(deployment: Deployment, query: str, param: str) -> None:
    assert error_of(await deployment.get(f"/v1/batches?{query}"))[::2] == (400, param)


async def test_another_accounts_batch_is_none(deployment: Deployment, client: openai.AsyncOpenAI) -> None:
    made = await begun(client)
    async with client_of(deployment, await enrol(deployment.ledger)) as stranger:
        assert [batch.id async for batch in stranger.batches.list()] == []
        for call in (stranger.batches.retrieve, stranger.batches.cancel):
            with pytest.raises(openai.NotFoundError) as refused:
                await call(made.id)
            assert refused.value.code == "batch_not_found"
    assert (await client.batches.retrieve(made.id)).status == "validating"


@pytest.mark.parametrize("batch_id", ["batch_", "x", "batch_..%2Fx", "file-1", "batch_" + "a" * 65])
async def test_an_id_that_is_none_is_a_404(deployment: Deployment, batch_id: str) -> None:
    assert (await deployment.get(f"/v1/batches/{batch_id}")).status_code == 404


# -- cancelling


@pytest.mark.parametrize("status", [Status.VALIDATING, Status.IN_PROGRESS])
async def test_a_batch_is_cancelled_once(deployment: Deployment, client: openai.AsyncOpenAI, status: Status) -> None:
    made = await begun(client)
    await played(deployment, made.id, status=status)
    objects = await deployment.edge.storage.objects()
    await objects.delete([addresses.poke(made.id)])
    told = await client.batches.cancel(made.id)
    assert (told.id, told.status) == (made.id, "cancelling")
    assert told.cancelling_at is not None
    for key in (addresses.stop(made.id), addresses.poke(made.id)):
        assert await objects.size(key) is not None
    assert await client.batches.cancel(made.id) == told
    await objects.delete([addresses.stop(made.id), addresses.poke(made.id)])
    await played(deployment, made.id, status=Status.CANCELLED, ended_at=now_ms())
    assert (await client.batches.cancel(made.id)).status == "cancelled"
    with pytest.raises(Missing):
        await objects.get(addresses.stop(made.id))


@pytest.mark.parametrize("status", [Status.FINALIZING, Status.COMPLETED, Status.FAILED, Status.EXPIRED])
async def test_what_is_over_is_not_cancelled(
    deployment: Deployment, client: openai.AsyncOpenAI, status: Status
) -> None:
    made = await begun(client)
    await played(deployment, made.id, status=status)
    with pytest.raises(openai.ConflictError) as refused:
        await client.batches.cancel(made.id)
    assert refused.value.code == "batch_ended"
    assert status.value in refused.value.message


async def test_a_cancellation_that_meets_a_change_is_stored_all_the_same(
    deployment: Deployment, client: openai.AsyncOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await begun(client)
    book = await deployment.edge.storage.book()
    change, changes = book.change_batch, 0

    async def overtaken(batch: Batch) -> bool:
        nonlocal changes
        changes += 1
        if changes == 1:
            stored = await book.batch(made.id)
            assert stored is not None
            assert await change(replace(stored, status=Status.IN_PROGRESS, lines=7))
        return await change(batch)

    monkeypatch.setattr(book, "change_batch", overtaken)
    told = await client.batches.cancel(made.id)
    assert changes == 2
    assert told.request_counts is not None
    assert (told.status, told.request_counts.total) == ("cancelling", 7)


# -- the same request twice


async def test_under_a_key_one_batch_is_made(deployment: Deployment, client: openai.AsyncOpenAI) -> None:
    body = asked_for(await uploaded(client))
    answers = [await post(deployment, body, **{"Idempotency-Key": "one"}) for _ in range(3)]
    assert len({answer.content for answer in answers}) == 1
    assert [answer.headers.get("idempotent-replayed") for answer in answers] == [None, "true", "true"]
    other = await post(deployment, {**body, "metadata": {"a": "b"}}, **{"Idempotency-Key": "one"})
    assert error_of(other) == (422, "idempotency_key_reused", "Idempotency-Key")
    assert len(await (await deployment.edge.storage.book()).open_batches()) == 1


async def test_a_retry_of_the_official_client_makes_no_second_batch(deployment: Deployment) -> None:
    """Its first try is stored, and its answer lost."""
    book = await deployment.edge.storage.book()
    objects, lost = await deployment.edge.storage.objects(), 0
    put = objects.put

    async def crash_once(key: str, data: bytes) -> None:
        nonlocal lost
        lost += 1
        if lost == 1:
            raise RuntimeError
        await put(key, data)

    objects.put = crash_once  # type: ignore[method-assign]
    async with client_of(deployment).with_options(max_retries=2) as client:
        made = await begun(client, metadata={"a": "b"})
        assert await book.open_batches() == [made.id]
        another = await begun(client, input_file_id=made.input_file_id, metadata={"a": "b"})
        assert another.id != made.id


@pytest.mark.parametrize(
    "changes",
    [
        {"metadata": {"a": "c"}},
        {"completion_window": "1h"},
        {"endpoint": "/v1/embeddings"},
    ],
)
async def test_a_retry_of_another_request_is_no_retry(
    deployment: Deployment, client: openai.AsyncOpenAI, changes: dict[str, Any]
) -> None:
    body = asked_for(await uploaded(client))
    made = (await post(deployment, body)).json()
    again = (await post(deployment, body, **{"x-stainless-retry-count": "1"})).json()
    other = (await post(deployment, {**body, **changes}, **{"x-stainless-retry-count": "1"})).json()
    assert again["id"] == made["id"]
    assert other["id"] != made["id"]


async def test_a_retry_after_long_is_a_new_batch(
    deployment: Deployment, client: openai.AsyncOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = asked_for(await uploaded(client))
    made = (await post(deployment, body)).json()
    monkeypatch.setattr("functions.edge.routes.batches.create.RETRIED_WITHIN", 0)
    assert (await post(deployment, body, **{"x-stainless-retry-count": "1"})).json()["id"] != made["id"]


# -- with the storage away


async def test_a_poke_that_fails_is_the_schedules_to_make_up_for(
    logged: Logged, deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment = await deploy()
    async with client_of(deployment) as client:
        file_id = await uploaded(client)

        async def away(*_: Any) -> None:
            raise ObjectsUnavailable

        monkeypatch.setattr(await deployment.edge.storage.objects(), "put", away)
        made = await begun(client, input_file_id=file_id)
        assert await (await deployment.edge.storage.book()).open_batches() == [made.id]
        assert (await client.batches.cancel(made.id)).status == "cancelling"
    lines = await logged.wait(3)
    assert [(line["subject"], line.get("poke")) for line in lines] == [
        (file_id, None),
        (made.id, "failed"),
        (made.id, "failed"),
    ]
