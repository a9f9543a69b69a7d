"""S3 that fails now and then: what was acknowledged is there, once, and what was not says so."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from penstock.objects import Exists, Objects, ObjectsUnavailable, open_objects
from tests.servers.environment import lead_to
from tests.servers.faults import Fault, Faults
from tests.servers.proxy import Proxy

pytestmark = pytest.mark.anyio

PARTS = [bytes([number]) * (3 << 20) for number in range(9)]


@pytest.fixture
async def objects(bucket_url: str, dynamodb_proxy: Proxy) -> AsyncIterator[Objects]:
    """A bucket, by way of a proxy."""
    assert dynamodb_proxy.url
    opened = await open_objects(bucket_url)
    yield opened
    await opened.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries follow one another at once."""
    monkeypatch.setattr("penstock.objects.asking.PAUSES_S", (0.0,) * 12)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("seed", range(3))
async def test_a_third_of_the_requests_fail_and_nothing_is_lost(
    objects: Objects, dynamodb_proxy: Proxy, seed: int
) -> None:
    dynamodb_proxy.faults = faults = Faults(seed, rate=0.33)
    await asyncio.gather(*(objects.put(f"a/{number:02}", b"old") for number in range(20)))
    await asyncio.gather(*(objects.put_new(f"b/{number:02}", b"new") for number in range(20)))
    async with objects.writer("c/large") as writer:
        for part in PARTS:
            await writer.write(part)
    assert b"".join([chunk async for chunk in objects.chunks("c/large")]) == b"".join(PARTS)
    for prefix in ("a/", "b/"):
        assert [each.key async for each in objects.list(prefix)] == [f"{prefix}{number:02}" for number in range(20)]
    for number in range(20):
        assert await objects.get(f"a/{number:02}") == b"old"
        assert await objects.size(f"b/{number:02}") == 3
        with pytest.raises(Exists):
            await objects.put_new(f"b/{number:02}", b"another")
    await objects.delete([f"a/{number:02}" for number in range(20)])
    assert [each async for each in objects.list("a/")] == []
    assert {fault for _, fault in faults.done} == set(Fault) - {Fault.OVER_CAPACITY}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("fault", [Fault.ANSWER_LOST, Fault.ANSWER_SPOILT])
async def test_an_upload_whose_last_answer_is_lost_is_there(
    objects: Objects, dynamodb_proxy: Proxy, fault: Fault
) -> None:
    class Last(Faults):
        def choose(self, operation: str) -> Fault | None:
            if operation != "CompleteMultipartUpload" or self.done:
                return None
            self.done[operation, fault] += 1
            return fault

    dynamodb_proxy.faults = faults = Last(0)
    async with objects.writer("c/large") as writer:
        for part in PARTS:
            await writer.write(part)
    assert faults.done.total() == 1
    assert await objects.get("c/large") == b"".join(PARTS)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "fault", set(Fault) - {Fault.OVER_CAPACITY, Fault.CONFLICT, Fault.ANSWER_LOST, Fault.ANSWER_SPOILT}
)
async def test_what_fails_for_good_is_told(objects: Objects, dynamodb_proxy: Proxy, fault: Fault) -> None:
    await objects.put("a", b"old")
    dynamodb_proxy.faults = Faults(0, rate=1.0, only=frozenset({fault}))

    async def write() -> None:
        async with objects.writer("a") as writer:
            await writer.write(b"".join(PARTS))

    async def read_all() -> list[bytes]:
        return [chunk async for chunk in objects.chunks("a")]

    async def list_all() -> list[object]:
        return [each async for each in objects.list("b/")]

    for call in (
        lambda: objects.put("a", b"new"),
        lambda: objects.put_new("b", b"new"),
        lambda: objects.get("a"),
        lambda: objects.size("a"),
        lambda: objects.delete(["a"]),
        write,
        read_all,
        list_all,
    ):
        before = dynamodb_proxy.requests.total()
        with pytest.raises(ObjectsUnavailable, match="S3: "):
            await call()
        assert dynamodb_proxy.requests.total() - before >= 13
    dynamodb_proxy.faults = None
    assert await objects.get("a") == b"old"


async def test_a_reader_of_what_is_replaced_meanwhile_is_told(objects: Objects) -> None:
    await objects.put("a", b"one, and more")
    chunks = objects.chunks("a", size=4)
    assert await anext(chunks) == b"one,"
    await objects.put("a", b"two, and more")
    with pytest.raises(ObjectsUnavailable, match="PreconditionFailed"):
        await anext(chunks)


async def test_a_bucket_that_is_not_there_is_no_missing_object(dynamodb_proxy: Proxy) -> None:
    assert dynamodb_proxy.url
    objects = await open_objects("s3://nothing-is-here")
    with pytest.raises(ObjectsUnavailable, match="NoSuchBucket"):
        await objects.get("a")
    with pytest.raises(ObjectsUnavailable, match="NoSuchBucket"):
        await objects.put("a", b"")
    assert dynamodb_proxy.requests.total() == 2  # it is not tried again
    await objects.close()


async def test_who_has_no_credentials_is_told_at_once(bucket_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setattr("penstock.objects.asking.PAUSES_S", ())
    objects = await open_objects(bucket_url)
    with pytest.raises(ObjectsUnavailable, match="credentials"):
        await objects.get("a")
    await objects.close()


@pytest.mark.usefixtures("quick")
async def test_an_answer_that_breaks_off_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([b"one", b"one, w", b"one, whole"])

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n" + next(answers))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        lead_to(f"http://{host}:{port}", monkeypatch)
        objects = await open_objects("s3://nothing-is-here")
        assert await objects.get("a") == b"one, whole"
        await objects.close()
    assert list(answers) == []
