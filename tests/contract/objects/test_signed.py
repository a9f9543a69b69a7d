"""What is put and got at signed URLs, by whoever has them."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from penstock.objects import Missing, Objects, open_objects

pytestmark = pytest.mark.anyio


@pytest.fixture
async def bucket(bucket_url: str) -> AsyncIterator[Objects]:
    """A bucket, open."""
    opened = await open_objects(bucket_url)
    yield opened
    await opened.close()


async def test_a_folder_has_no_signed_urls(objects: Objects, objects_url: str) -> None:
    signed = (
        await objects.signed_put("a", size=1, expires_s=60),
        await objects.signed_get("a", filename="b", expires_s=60),
    )
    assert all(signed) if objects_url.startswith("s3:") else signed == (None, None)


async def test_so_many_bytes_are_put_as_were_signed_for(bucket: Objects) -> None:
    url = await bucket.signed_put("files/one", size=3, expires_s=60)
    assert url is not None
    async with httpx2.AsyncClient(trust_env=False) as client:
        assert (await client.put(url, content=b"four")).status_code == 403
        with pytest.raises(Missing):
            await bucket.get("files/one")
        assert (await client.put(url, content=b"one")).status_code == 200
    assert await bucket.get("files/one") == b"one"


async def test_an_object_is_got_under_its_files_name(bucket: Objects) -> None:
    await bucket.put("files/one", b"one")
    url = await bucket.signed_get("files/one", filename='in "1" ü.jsonl', expires_s=60)
    assert url is not None
    async with httpx2.AsyncClient(trust_env=False) as client:
        got = await client.get(url)
        assert (await client.get(url.replace("files/one", "files/two"))).status_code == 403
        assert (await client.put(url, content=b"two")).status_code == 403
    assert (got.status_code, got.content) == (200, b"one")
    assert got.headers["content-disposition"] == "attachment; filename*=UTF-8''in%20%221%22%20%C3%BC.jsonl"


async def test_a_signed_url_is_good_for_its_time(bucket: Objects) -> None:
    url = await bucket.signed_get("files/one", filename="a", expires_s=3_600)
    assert url is not None
    assert httpx2.URL(url).params["X-Amz-Expires"] == "3600"
