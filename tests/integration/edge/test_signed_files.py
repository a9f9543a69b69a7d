"""Files in a bucket: large ones are put at, and got from, signed URLs of the storage, past the edge."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import openai
import pytest

from functions.edge.routes.files.content import INLINE
from penstock.clock import SECOND, now_ms
from tests.integration.edge.conftest import Deploy
from tests.integration.edge.deployment import Deployment
from tests.integration.edge.test_files import LINES, ask, client_of, error_of

pytestmark = pytest.mark.anyio


@pytest.fixture
async def deployment(deploy: Deploy, bucket_url: str, dynamodb_url: str) -> Deployment:
    """A deployment whose files are in a bucket, and their book in DynamoDB."""
    return await deploy(objects_url=bucket_url, book_url=dynamodb_url)


@pytest.fixture
async def client(deployment: Deployment) -> AsyncIterator[openai.AsyncOpenAI]:
    """OpenAI's."""
    async with client_of(deployment) as client:
        yield client


@pytest.fixture
async def anybody() -> AsyncIterator[httpx2.AsyncClient]:
    """Who has a URL, and no key."""
    async with httpx2.AsyncClient(trust_env=False) as anybody:
        yield anybody


async def test_a_file_is_put_at_a_signed_url_and_made_a_batch_of(
    deployment: Deployment, client: openai.AsyncOpenAI, anybody: httpx2.AsyncClient
) -> None:
    before = now_ms() // SECOND
    made = (await ask(deployment, purpose="batch", filename="in.jsonl", bytes=len(LINES))).json()
    upload = made["upload"]
    assert (made["status"], made["bytes"], upload["method"], upload["headers"]) == ("pending", len(LINES), "PUT", {})
    assert before + 3_600 <= upload["expires_at"] <= now_ms() // SECOND + 3_600
    asked: dict[str, Any] = {"endpoint": "/v1/completions", "completion_window": "24h"}
    with pytest.raises(openai.BadRequestError) as refused:
        await client.batches.create(input_file_id=made["id"], **asked)
    assert refused.value.code == "file_not_ready"
    assert (await anybody.put(upload["url"], content=LINES + b"more")).status_code == 403
    assert (await client.files.retrieve(made["id"])).model_dump()["status"] == "pending"
    assert (await anybody.put(upload["url"], content=LINES)).status_code == 200
    batch = await client.batches.create(input_file_id=made["id"], **asked)
    assert batch.status == "validating"
    told = await deployment.get(f"/v1/files/{made['id']}")
    assert told.json()["status"] == "processed"
    assert "upload" not in told.json()
    assert (await client.files.content(made["id"])).content == LINES


async def test_what_is_long_comes_from_the_storage_and_the_key_does_not_go_there(
    deployment: Deployment, client: openai.AsyncOpenAI, anybody: httpx2.AsyncClient
) -> None:
    short, long = b"x" * INLINE, b"y" * (INLINE + 1)
    for content, redirected in ((short, False), (long, True)):
        made = await client.files.create(file=("Grüße.jsonl", content), purpose="batch")
        got = await client.files.content(made.id)
        assert got.content == content
        assert bool(got.response.history) is redirected
        assert ("authorization" in got.response.request.headers) is not redirected
        if redirected:
            response = await deployment.client.get(
                f"/v1/files/{made.id}/content", headers=deployment.owner.bearer, follow_redirects=False
            )
            assert (response.status_code, response.content) == (307, b"")
            assert response.headers["cache-control"] == "no-store"
            stored = await anybody.get(response.headers["location"])
            assert stored.content == content
            assert "Gr%C3%BC%C3%9Fe.jsonl" in stored.headers["content-disposition"]


async def test_a_deleted_file_is_gone_from_the_bucket(deployment: Deployment, client: openai.AsyncOpenAI) -> None:
    made = await client.files.create(file=("in.jsonl", LINES), purpose="batch")
    address = f"files/{deployment.owner.caller.account.id}/{made.id}"
    objects = await deployment.edge.storage.objects()
    assert await objects.size(address) == len(LINES)
    assert (await client.files.delete(made.id)).deleted
    assert await objects.size(address) is None


async def test_an_upload_in_parts_that_is_refused_leaves_none(deploy: Deploy, bucket_url: str) -> None:
    """Larger than one part of S3's, so that the upload was begun there before it is over the limit."""
    from aiobotocore.session import get_session

    deployment = await deploy(objects_url=bucket_url, max_upload_bytes=20 << 20)
    async with client_of(deployment) as client:
        whole = await client.files.create(file=("x", b"x" * (20 << 20)), purpose="batch")
        assert whole.bytes == 20 << 20

        async def pieces() -> AsyncIterator[bytes]:
            yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
            for _ in range(21):
                yield b"x" * (1 << 20)

        headers = {**deployment.owner.bearer, "Content-Type": "multipart/form-data; boundary=b"}
        refused = await deployment.client.post("/v1/files", content=pieces(), headers=headers)
        assert error_of(refused) == (413, "request_too_large", None)
    bucket = bucket_url.removeprefix("s3://")
    async with get_session().create_client("s3") as s3:
        assert "Uploads" not in await s3.list_multipart_uploads(Bucket=bucket)
        listed = await s3.list_objects_v2(Bucket=bucket)
    assert [found["Key"].rpartition("/")[2] for found in listed["Contents"]] == [whole.id]
