"""`/v1/files` over real connections: by OpenAI's client, and byte by byte."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from penstock.batches.records import Batch, File, FileState, Purpose, Status, new_batch_id, new_file_id
from penstock.clock import SECOND, now_ms
from penstock.objects import ObjectsUnavailable
from tests.integration.edge.conftest import Deploy, Logged
from tests.integration.edge.deployment import Deployment, Owner, enrol

pytestmark = pytest.mark.anyio

LINES = (
    b'{"custom_id": "1", "method": "POST", "url": "/v1/completions", "body": {"model": "demo", "prompt": "\xc3\x9c"}}\n'
)
DAY = 24 * 60 * 60
A_MONTH = 30 * DAY
BOUNDARY = "the-boundary"


def client_of(deployment: Deployment, owner: Owner | None = None) -> openai.AsyncOpenAI:
    """OpenAI's client, which asks once."""
    key = (owner or deployment.owner).key.reveal()
    return openai.AsyncOpenAI(base_url=f"{deployment.url}/v1", api_key=key, max_retries=0)


@pytest.fixture
async def client(deployment: Deployment) -> AsyncIterator[openai.AsyncOpenAI]:
    """The owner's."""
    async with client_of(deployment) as client:
        yield client


def part(name: str, value: bytes, filename: str | None = None) -> bytes:
    """A part of a form."""
    more = "" if filename is None else f'; filename="{filename}"'
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'
    return head.encode() + value + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()
WHOLE = part("purpose", b"batch") + part("file", LINES, "in.jsonl")


async def send(deployment: Deployment, body: Any, **headers: str) -> httpx2.Response:
    """Upload a body as a form."""
    said = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}", **deployment.owner.bearer, **headers}
    return await deployment.client.post("/v1/files", content=body, headers=said)


async def ask(deployment: Deployment, **body: Any) -> httpx2.Response:
    """Ask for a URL to put a file at."""
    return await deployment.client.post("/v1/files", json=body, headers=deployment.owner.bearer)


def error_of(response: httpx2.Response) -> tuple[int, str | None, str | None]:
    """The status, code and parameter of a refusal."""
    error = response.json()["error"]
    return response.status_code, error["code"], error["param"]


async def kept(deployment: Deployment) -> list[str]:
    """The keys of all contents in the storage."""
    objects = await deployment.edge.storage.objects()
    account = deployment.owner.caller.account.id
    return [found.key async for found in objects.list(f"files/{account}/")]


# -- a file's life


async def test_the_official_client_uploads_reads_and_deletes(
    deployment: Deployment, client: openai.AsyncOpenAI, tmp_path: Path
) -> None:
    (tmp_path / "in.jsonl").write_bytes(LINES)
    before = now_ms() // SECOND
    made = await client.files.create(file=tmp_path / "in.jsonl", purpose="batch")
    assert (made.object, made.bytes, made.filename) == ("file", len(LINES), "in.jsonl")
    assert (made.purpose, made.status) == ("batch", "processed")
    assert before <= made.created_at <= now_ms() // SECOND
    assert made.expires_at is not None
    assert made.expires_at - made.created_at == A_MONTH
    assert await client.files.retrieve(made.id) == made
    assert [file.id async for file in client.files.list()] == [made.id]
    content = await client.files.content(made.id)
    assert content.content == LINES
    assert content.response.headers["content-type"] == "application/jsonl"
    assert await kept(deployment) == [f"files/{deployment.owner.caller.account.id}/{made.id}"]
    gone = await client.files.delete(made.id)
    assert (gone.id, gone.object, gone.deleted) == (made.id, "file", True)
    assert await kept(deployment) == []
    for call in (client.files.retrieve, client.files.content, client.files.delete):
        with pytest.raises(openai.NotFoundError):
            await call(made.id)


async def test_a_file_of_many_chunks_comes_back_as_it_was(deployment: Deployment, client: openai.AsyncOpenAI) -> None:
    """Above what one chunk of the connection, the storage or an answer holds; and no UTF-8."""
    content = os.urandom(1 << 20) * 20 + b"\r\n--the end"
    made = await client.files.create(file=("x.bin", content), purpose="batch")
    assert made.bytes == len(content)
    assert (await client.files.content(made.id)).content == content


async def test_when_it_expires_is_the_callers_to_say(client: openai.AsyncOpenAI) -> None:
    made = await client.files.create(
        file=("in.jsonl", LINES), purpose="batch", expires_after={"anchor": "created_at", "seconds": 3_600}
    )
    assert made.expires_at == made.created_at + 3_600


async def test_the_name_is_told_where_the_content_is_saved(deployment: Deployment) -> None:
    storage, now, account = deployment.edge.storage, now_ms(), deployment.owner.caller.account.id
    name = 'Grüße "1"; x=%2f.jsonl'
    file = File(new_file_id(now), account, Purpose.BATCH, name, len(LINES), "files/a/x", now)
    await (await storage.book()).add_file(file)
    await (await storage.objects()).put("files/a/x", LINES)
    response = await deployment.get(f"/v1/files/{file.id}/content")
    in_full = "Gr%C3%BC%C3%9Fe%20%221%22%3B%20x%3D%252f.jsonl"
    told = f"attachment; filename=\"Gr__e _1_; x=_2f.jsonl\"; filename*=UTF-8''{in_full}"
    assert response.headers["content-disposition"] == told
    assert response.headers["x-content-type-options"] == "nosniff"
    assert int(response.headers["content-length"]) == len(LINES)


# -- lists


@pytest.fixture
async def nine(deployment: Deployment) -> list[str]:
    """The ids of nine files, the oldest first: every third is an output, and the fourth and fifth are over."""
    book, now, account = await deployment.edge.storage.book(), now_ms(), deployment.owner.caller.account.id
    ids = []
    for number in range(9):
        purpose = Purpose.BATCH_OUTPUT if number % 3 == 2 else Purpose.BATCH
        made = now - 10_000 + number
        file = File(new_file_id(made), account, purpose, "x", 1, "files/x", made, expires_at=now + 100_000)
        if number in (3, 4):
            file = File(new_file_id(made), account, purpose, "x", 1, "files/x", made, expires_at=now - 1)
        await book.add_file(file)
        ids.append(file.id)
    return ids


async def test_lists_are_in_order_and_in_pages(client: openai.AsyncOpenAI, nine: list[str]) -> None:
    there = [file_id for number, file_id in enumerate(nine) if number not in (3, 4)]
    assert [file.id async for file in client.files.list()] == there[::-1]
    for limit in (1, 2, 3, 6, 7, 8):
        assert [file.id async for file in client.files.list(limit=limit, order="asc")] == there
    page = await client.files.list(limit=2)
    assert ([file.id for file in page.data], page.has_more) == (there[:-3:-1], True)
    assert not (await client.files.list(limit=7)).has_more
    outputs = [file.id async for file in client.files.list(purpose="batch_output", limit=1)]
    assert outputs == [nine[8], nine[5], nine[2]]


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=10001", "limit"),
        ("limit=x", "limit"),
        ("order=up", "order"),
        ("purpose=fine-tune", "purpose"),
        ("after=batch_1", "after"),
        ("before=file-1", "before"),
    ],
)
async def test_a_list_is_asked_for_strictly(deployment: Deployment, query: str, param: str) -> None:
    response = await deployment.get(f"/v1/files?{query}")
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)


# -- whose files they are


async def test_another_accounts_file_is_none(deployment: Deployment, client: openai.AsyncOpenAI) -> None:
    made = await client.files.create(file=("in.jsonl", LINES), purpose="batch")
    async with client_of(deployment, await enrol(deployment.ledger)) as stranger:
        assert [file.id async for file in stranger.files.list()] == []
        for call in (stranger.files.retrieve, stranger.files.content, stranger.files.delete):
            with pytest.raises(openai.NotFoundError) as refused:
                await call(made.id)
            assert refused.value.code == "file_not_found"
    assert (await client.files.retrieve(made.id)).id == made.id


@pytest.mark.parametrize("file_id", ["file-", "x", "file-..%2F..%2Fetc", "batch_1", "file-" + "a" * 65, "file-%00"])
async def test_an_id_that_is_none_is_a_404(deployment: Deployment, file_id: str) -> None:
    for path in (f"/v1/files/{file_id}", f"/v1/files/{file_id}/content"):
        assert (await deployment.get(path)).status_code == 404


async def test_a_file_whose_time_is_over_is_none(deployment: Deployment, nine: list[str]) -> None:
    assert (await deployment.get(f"/v1/files/{nine[2]}")).status_code == 200
    assert (await deployment.get(f"/v1/files/{nine[3]}")).status_code == 404


async def test_a_content_that_was_lost_is_told(deployment: Deployment, nine: list[str]) -> None:
    response = await deployment.get(f"/v1/files/{nine[0]}/content")
    assert error_of(response) == (404, "file_not_found", None)


async def test_a_file_is_not_deleted_under_a_batch(deployment: Deployment, client: openai.AsyncOpenAI) -> None:
    made = await client.files.create(file=("in.jsonl", LINES), purpose="batch")
    book, now, account = await deployment.edge.storage.book(), now_ms(), deployment.owner.caller.account.id
    batch = Batch(
        id=new_batch_id(now),
        account_id=account,
        key_id="k",
        endpoint="/v1/completions",
        input_file_id=made.id,
        input_address="files/x",
        window_s=60,
        created_at=now,
        expires_at=now + 60_000,
        output_address="files/o",
        error_address="files/e",
    )
    await book.add_batch(batch)
    with pytest.raises(openai.ConflictError) as refused:
        await client.files.delete(made.id)
    assert refused.value.code == "file_in_use"
    assert batch.id in refused.value.message
    stored = await book.batch(batch.id)
    assert stored is not None
    await book.change_batch(replace(stored, status=Status.COMPLETED))
    assert (await client.files.delete(made.id)).deleted


# -- forms


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b"", "invalid_form", None),
        (WHOLE, "invalid_form", None),  # without its end
        (b"{}", "invalid_form", None),
        (END, "missing_required_parameter", "file"),
        (part("purpose", b"batch") + END, "missing_required_parameter", "file"),
        (part("file", LINES, "x") + END, "missing_required_parameter", "purpose"),
        (part("purpose", b"fine-tune") + part("file", LINES, "x") + END, "invalid_value", "purpose"),
        (part("purpose", b"batch") + part("file", LINES) + END, "invalid_type", "file"),
        (part("purpose", b"batch") + part("more", LINES, "x") + END, "invalid_type", "file"),
        (WHOLE + part("file", LINES, "x") + END, "invalid_value", "file"),
        (WHOLE + part("purpose", b"batch") + END, "invalid_value", "purpose"),
        (WHOLE + part("surprise", b"1") + END, "unknown_parameter", "surprise"),
        (WHOLE + part("purpose\xc3", b"1") + END, "unknown_parameter", "purpose\xc3"),
        (WHOLE + part("expires_after[seconds]", b"3600") + END, "missing_required_parameter", "expires_after.anchor"),
        (
            WHOLE + part("expires_after[anchor]", b"created_at") + part("expires_after[seconds]", b"1e9") + END,
            "invalid_type",
            "expires_after.seconds",
        ),
        (
            WHOLE + part("expires_after[anchor]", b"created_at") + part("expires_after[seconds]", b"3599") + END,
            "invalid_value",
            "expires_after.seconds",
        ),
        (WHOLE + part("x", b"y" * 5_000) + END, "invalid_value", "x"),
        (WHOLE + part("x", b"\xff") + END, "invalid_value", "x"),
        (WHOLE + b"".join(part(f"f{i}", b"") for i in range(20)) + END, "invalid_form", None),
        (WHOLE + f"--{BOUNDARY}\r\nX: ".encode() + b"y" * 10_000 + b"\r\n\r\n" + END, "invalid_form", None),
        (part("purpose", b"batch") + part("file", b"", "x") + END, "invalid_value", "file"),
        (part("purpose", b"batch") + part("file", LINES, "") + END, "invalid_value", "file"),
        (part("purpose", b"batch") + part("file", LINES, "../../etc/passwd") + END, "invalid_value", "file"),
        (part("purpose", b"batch") + part("file", LINES, "a\\b") + END, "invalid_value", "file"),
        (part("purpose", b"batch") + part("file", LINES, "x" * 256) + END, "invalid_value", "file"),
        (part("purpose", b"batch") + part("file", LINES, "a\x00b") + END, "invalid_value", "file"),
    ],
)
async def test_a_form_that_is_wrong_is_refused_by_name_and_leaves_nothing(
    deployment: Deployment, body: bytes, code: str, param: str | None
) -> None:
    assert error_of(await send(deployment, body)) == (400, code, param)
    assert await kept(deployment) == []
    assert (await deployment.get("/v1/files")).json()["data"] == []


@pytest.mark.parametrize("content_type", ["multipart/form-data", "multipart/form-data; boundary=" + "x" * 300])
async def test_a_form_without_a_boundary(deployment: Deployment, content_type: str) -> None:
    response = await send(deployment, WHOLE + END, **{"Content-Type": content_type})
    assert error_of(response) == (400, "invalid_form", None)


async def test_another_type_of_body_is_told_both_that_there_are(deployment: Deployment) -> None:
    response = await send(deployment, LINES, **{"Content-Type": "application/octet-stream"})
    assert error_of(response) == (400, "invalid_content_type", None)
    assert "multipart/form-data or application/json" in response.json()["error"]["message"]


@pytest.mark.parametrize("declared", [True, False])
async def test_a_file_over_the_limit_is_a_413_and_leaves_nothing(deploy: Deploy, declared: bool) -> None:
    deployment = await deploy(max_upload_bytes=200_000)
    exactly = part("purpose", b"batch") + part("file", b"x" * 200_000, "x") + END
    assert (await send(deployment, exactly)).status_code == 200
    for size in (200_001, 2_000_000):
        body = part("purpose", b"batch") + part("file", b"x" * size, "x") + END

        async def pieces(body: bytes = body) -> AsyncIterator[bytes]:
            for begin in range(0, len(body), 10_000):
                yield body[begin : begin + 10_000]

        response = await send(deployment, body if declared else pieces())
        assert error_of(response) == (413, "request_too_large", None)
    assert len(await kept(deployment)) == 1


async def test_the_limit_of_other_bodies_stands(deployment: Deployment) -> None:
    form = part("purpose", b"batch") + part("file", b"x" * (5 << 20), "x") + END
    assert (await send(deployment, form)).status_code == 200
    response = await deployment.chat(user="x" * (5 << 20))
    assert response.status_code == 413
    big = await ask(deployment, purpose="batch", filename="x" * 70_000, bytes=1)
    assert error_of(big) == (413, "request_too_large", None)


async def test_a_client_that_leaves_in_the_middle_leaves_nothing(logged: Logged, deploy: Deploy) -> None:
    deployment = await deploy()
    url = httpx2.URL(deployment.url)
    _, writer = await asyncio.open_connection(url.host, url.port)
    head = {
        "Host": "edge",
        "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
        "Content-Length": "10000000",
        **deployment.owner.bearer,
    }
    writer.write(b"POST /v1/files HTTP/1.1\r\n")
    writer.write("".join(f"{name}: {value}\r\n" for name, value in head.items()).encode() + b"\r\n")
    writer.write(WHOLE[:-10] + b"x" * 1_000_000)
    await writer.drain()
    writer.close()
    (line,) = await logged.wait(1)
    assert line["status"] == 499
    assert await kept(deployment) == []


async def test_a_client_that_leaves_during_a_download_ends_the_reading(
    deployment: Deployment, client: openai.AsyncOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await client.files.create(file=("x", b"x" * 1_000_000), purpose="batch")
    objects, ended, read = await deployment.edge.storage.objects(), asyncio.Event(), 0

    async def endless(_: str) -> AsyncIterator[bytes]:
        nonlocal read
        try:
            while True:
                read += 1
                yield b"x" * 100_000
                await asyncio.sleep(0.01)
        finally:
            ended.set()

    monkeypatch.setattr(objects, "chunks", endless)
    book, account = await deployment.edge.storage.book(), deployment.owner.caller.account.id
    stored = await book.file(account, made.id)
    assert stored is not None
    assert await book.change_file(replace(stored, size=1 << 40))
    path = f"/v1/files/{made.id}/content"
    async with deployment.client.stream("GET", path, headers=deployment.owner.bearer) as response:
        assert response.headers["content-length"] == str(1 << 40)
        async for _ in response.aiter_raw():
            if read > 3:
                break
    async with asyncio.timeout(10):
        await ended.wait()


# -- the same upload twice


async def test_an_upload_under_a_key_is_taken_once(deployment: Deployment) -> None:
    sent = [await send(deployment, WHOLE + END, **{"Idempotency-Key": "one"}) for _ in range(3)]
    assert len({response.json()["id"] for response in sent}) == 1
    assert [response.headers.get("idempotent-replayed") for response in sent] == [None, "true", "true"]
    assert len(await kept(deployment)) == 1
    other = part("purpose", b"batch") + part("file", LINES * 2, "in.jsonl") + END
    refused = await send(deployment, other, **{"Idempotency-Key": "one"})
    assert error_of(refused) == (422, "idempotency_key_reused", "Idempotency-Key")
    assert len(await kept(deployment)) == 1


# -- signed URLs


async def test_a_folder_has_no_signed_urls(deployment: Deployment) -> None:
    response = await ask(deployment, purpose="batch", filename="in.jsonl", bytes=10)
    assert error_of(response) == (400, "presigned_unsupported", None)
    assert (await deployment.get("/v1/files")).json()["data"] == []


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"purpose": "vision"}, "purpose"),
        ({"bytes": 0}, "bytes"),
        ({"bytes": "10"}, "bytes"),
        ({"filename": "a/b"}, "filename"),
        ({"filename": ""}, "filename"),
        ({"file": "x"}, "file"),
        ({"expires_after": {"anchor": "last_active_at", "seconds": 3_600}}, "expires_after.anchor"),
        ({"expires_after": {"anchor": "created_at", "seconds": A_MONTH + 1}}, "expires_after.seconds"),
    ],
)
async def test_what_is_asked_for_is_read_strictly(deployment: Deployment, change: dict[str, Any], param: str) -> None:
    response = await ask(deployment, **{"purpose": "batch", "filename": "in.jsonl", "bytes": 10, **change})
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)


async def test_a_promise_over_the_limit(deploy: Deploy) -> None:
    deployment = await deploy(max_file_bytes=1_000)
    response = await ask(deployment, purpose="batch", filename="in.jsonl", bytes=1_001)
    assert error_of(response) == (400, "invalid_value", "bytes")


async def test_a_pending_file_is_ready_once_its_content_is_there(deployment: Deployment) -> None:
    """What a signed URL leads to is the storage's; here it is put by hand."""
    storage, now, account = deployment.edge.storage, now_ms(), deployment.owner.caller.account.id
    file = File(new_file_id(now), account, Purpose.BATCH, "x", 10, "files/a/x", now, state=FileState.PENDING)
    await (await storage.book()).add_file(file)
    path = f"/v1/files/{file.id}"
    assert (await deployment.get(path)).json()["status"] == "pending"
    assert error_of(await deployment.get(f"{path}/content")) == (409, "file_not_ready", None)
    await (await storage.objects()).put("files/a/x", b"x" * 9)
    assert (await deployment.get(path)).json()["status"] == "pending"
    await (await storage.objects()).put("files/a/x", b"x" * 10)
    assert (await deployment.get(f"{path}/content")).content == b"x" * 10
    assert (await deployment.get(path)).json()["status"] == "processed"
    assert [one["status"] for one in (await deployment.get("/v1/files")).json()["data"]] == ["processed"]


# -- how many, and where there are none


async def test_too_many_files_are_a_400_until_one_is_deleted(
    deployment: Deployment, client: openai.AsyncOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("functions.edge.storage.MAX_FILES", 2)
    deployment.edge.storage._counts._keep_s = 0
    made = [await client.files.create(file=("x", LINES), purpose="batch") for _ in range(2)]
    with pytest.raises(openai.BadRequestError) as refused:
        await client.files.create(file=("x", LINES), purpose="batch")
    assert refused.value.code == "too_many_files"
    await client.files.delete(made[0].id)
    await client.files.create(file=("x", LINES), purpose="batch")


async def test_files_whose_time_is_over_are_removed_when_the_accounts_are_counted(
    deployment: Deployment, client: openai.AsyncOpenAI
) -> None:
    deployment.edge.storage._counts._keep_s = 0
    book, account = await deployment.edge.storage.book(), deployment.owner.caller.account.id
    first, second = [await client.files.create(file=("x", LINES), purpose="batch") for _ in range(2)]
    stored = await book.file(account, first.id)
    assert stored is not None
    assert await book.change_file(replace(stored, expires_at=now_ms() - 1))
    third = await client.files.create(file=("x", LINES), purpose="batch")
    assert {key.rpartition("/")[2] for key in await kept(deployment)} == {second.id, third.id}
    assert await book.file(account, first.id) is None


async def test_too_many_at_once_are_a_429(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployment.edge.creations, "_burst", 2)
    answers = [await send(deployment, WHOLE + END) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert error_of(answers[2]) == (429, "too_many_creations", None)
    assert answers[2].headers["retry-after"] == "1"


FILES = [("GET", "/v1/files"), ("POST", "/v1/files"), ("GET", "/v1/files/file-1"), ("DELETE", "/v1/files/file-1")]
FILES += [("GET", "/v1/files/file-1/content"), ("GET", "/v1/batches"), ("POST", "/v1/batches")]
FILES += [("GET", "/v1/batches/batch_1"), ("POST", "/v1/batches/batch_1/cancel")]


@pytest.mark.parametrize(("method", "path"), FILES)
async def test_a_deployment_without_storage_says_so(deploy: Deploy, method: str, path: str) -> None:
    deployment = await deploy(objects_url=None)
    response = await deployment.client.request(method, path, headers=deployment.owner.bearer)
    assert error_of(response) == (404, "files_not_configured", None)


async def test_a_storage_that_is_away_is_a_503(deployment: Deployment, client: openai.AsyncOpenAI) -> None:
    made = await client.files.create(file=("x", LINES), purpose="batch")
    objects = await deployment.edge.storage.objects()

    def away(*_: Any, **__: Any) -> Any:
        raise ObjectsUnavailable("of /secret/place")

    for name in ("chunks", "delete", "writer"):
        setattr(objects, name, away)
    for response in (
        await deployment.get(f"/v1/files/{made.id}/content"),
        await deployment.client.delete(f"/v1/files/{made.id}", headers=deployment.owner.bearer),
        await send(deployment, WHOLE + END),
    ):
        assert error_of(response) == (503, "objects_unavailable", None)
        assert "secret" not in response.text
        assert response.headers["retry-after"] == "5"


async def test_after_a_rest_the_storage_is_opened_anew(deployment: Deployment, client: openai.AsyncOpenAI) -> None:
    made = await client.files.create(file=("x", LINES), purpose="batch")
    before = await deployment.edge.storage.objects()
    await deployment.edge.renew()
    assert (await client.files.content(made.id)).content == LINES
    assert await deployment.edge.storage.objects() is not before
