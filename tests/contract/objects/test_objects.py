"""One object after the other: what is written is read, whole, under its key alone."""

from collections.abc import Awaitable, Callable

import pytest

from penstock.objects import Exists, Missing, Object, Objects, ObjectsUnavailable, open_objects

pytestmark = pytest.mark.anyio

KEY = "work/batch_1/shards/000000.jsonl"
# S3's smallest part of an upload in parts is 5 MiB: this has three of ours, and a bit.
LARGE = b"".join(number.to_bytes(4) for number in range((3 * (8 << 20)) // 4)) + b"end"
NO_KEY = "is no key of an object"
NO_KEYS = [
    "", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "../a", "a/.", "a\0b", "a\nb", "a\x7fb", "\ud800", "a" * 1_025,
    "ü" * 513,
]  # fmt: skip


async def listed(objects: Objects, prefix: str) -> list[Object]:
    return [each async for each in objects.list(prefix)]


async def read(objects: Objects, key: str, size: int = 8 << 20) -> list[bytes]:
    return [chunk async for chunk in objects.chunks(key, size=size)]


async def test_what_is_put_is_got(objects: Objects) -> None:
    await objects.put(KEY, b"one")
    assert await objects.get(KEY) == b"one"
    assert await objects.size(KEY) == 3
    await objects.put(KEY, b"")
    assert await objects.get(KEY) == b""
    assert await objects.size(KEY) == 0


async def test_there_is_nothing_where_nothing_was_put(objects: Objects) -> None:
    await objects.put(f"{KEY}.other", b"")
    for key in (KEY, "work/batch_1", "work"):
        assert await objects.size(key) is None
        with pytest.raises(Missing, match=key.rpartition("/")[2]):
            await objects.get(key)
        with pytest.raises(Missing):
            await read(objects, key)


async def test_an_object_is_made_once(objects: Objects) -> None:
    await objects.put_new(KEY, b"one")
    with pytest.raises(Exists):
        await objects.put_new(KEY, b"two")
    assert await objects.get(KEY) == b"one"


async def test_the_same_made_again_is_made(objects: Objects) -> None:
    await objects.put_new(KEY, b"one")
    await objects.put_new(KEY, b"one")
    assert await objects.get(KEY) == b"one"


async def test_what_was_deleted_can_be_made_again(objects: Objects) -> None:
    await objects.put_new(KEY, b"one")
    await objects.delete([KEY])
    await objects.put_new(KEY, b"two")
    assert await objects.get(KEY) == b"two"


async def test_a_large_object_is_written_and_read_bit_by_bit(objects: Objects) -> None:
    async with objects.writer(KEY) as writer:
        for begin in range(0, len(LARGE), 1_000_003):
            await writer.write(LARGE[begin : begin + 1_000_003])
    assert await objects.size(KEY) == len(LARGE)
    chunks = await read(objects, KEY, size=5_000_011)
    assert [len(chunk) for chunk in chunks[:-1]] == [5_000_011] * (len(LARGE) // 5_000_011)
    assert b"".join(chunks) == LARGE == await objects.get(KEY)


async def test_one_write_of_several_parts_is_written(objects: Objects) -> None:
    async with objects.writer(KEY) as writer:
        await writer.write(LARGE)
    assert await objects.get(KEY) == LARGE


@pytest.mark.parametrize("bits", [[], [b""], [b"one"], [b"one", b"", b" two"]])
async def test_a_writer_writes_little_or_nothing_too(objects: Objects, bits: list[bytes]) -> None:
    async with objects.writer(KEY) as writer:
        for bit in bits:
            await writer.write(bit)
    assert await objects.get(KEY) == b"".join(bits)
    assert b"".join(await read(objects, KEY)) == b"".join(bits)


@pytest.mark.parametrize("content", [b"one", LARGE], ids=["little", "several parts"])
async def test_a_writer_replaces_at_its_end_and_not_before(objects: Objects, content: bytes) -> None:
    await objects.put(KEY, b"old")
    async with objects.writer(KEY) as writer:
        await writer.write(content)
        assert await objects.get(KEY) == b"old"
        assert await listed(objects, "work/") == [Object(KEY, 3)]
    assert await objects.get(KEY) == content


@pytest.mark.parametrize("content", [b"one", LARGE], ids=["little", "several parts"])
async def test_of_a_writer_that_fails_nothing_is_left(objects: Objects, content: bytes) -> None:
    async def fail() -> None:
        async with objects.writer(KEY) as writer:
            await writer.write(content)
            raise InterruptedError

    with pytest.raises(InterruptedError):
        await fail()
    assert await objects.size(KEY) is None
    assert await listed(objects, "work/") == []


async def test_a_listing_has_the_objects_under_the_prefix_in_order(objects: Objects) -> None:
    keys = [
        "a/b",
        "a/b.c",
        "a/b/c",
        "a/B",
        "a/é",
        "a/z/1",
        "a/z/10",
        "a/z/2",
        "a/z.",
        "ab",
        "b/a",
        "a/\U0001f600",
        "a/\uff5e",
    ]
    keys.remove("a/b")
    for key in keys:
        await objects.put(key, key.encode())
    under = sorted(key for key in keys if key.startswith("a/"))
    assert await listed(objects, "a/") == [Object(key, len(key.encode())) for key in under]
    assert await listed(objects, "a/z/") == [Object("a/z/1", 5), Object("a/z/10", 6), Object("a/z/2", 5)]
    assert await listed(objects, "a/b.c/") == []
    assert await listed(objects, "nothing/") == []


async def test_a_listing_and_a_deletion_take_more_than_a_page(objects: Objects) -> None:
    keys = [f"work/{number:06}.json" for number in range(1_101)]
    for key in keys:
        await objects.put(key, b"")
    assert [each.key for each in await listed(objects, "work/")] == keys
    await objects.put("workers/1", b"")
    await objects.delete([*keys, "work/never"])
    assert await listed(objects, "work/") == []
    assert await objects.size("workers/1") == 0


async def test_what_was_never_there_is_deleted(objects: Objects) -> None:
    await objects.delete([KEY])
    await objects.delete([])


@pytest.mark.parametrize("key", NO_KEYS)
async def test_what_is_no_key_is_refused(objects: Objects, key: str) -> None:
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: objects.put(key, b""),
        lambda: objects.put_new(key, b""),
        lambda: objects.get(key),
        lambda: objects.size(key),
        lambda: objects.delete([KEY, key]),
        lambda: objects.signed_put(key, size=1, expires_s=60),
        lambda: objects.signed_get(key, filename="a", expires_s=60),
        lambda: read(objects, key),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=NO_KEY):
            await call()
    with pytest.raises(ValueError, match=NO_KEY):
        objects.writer(key)


@pytest.mark.parametrize("prefix", ["", "/", "a", "a//", "../", "/a/"])
async def test_what_is_no_prefix_is_refused(objects: Objects, prefix: str) -> None:
    with pytest.raises(ValueError, match=r"is no (key|prefix)"):
        await listed(objects, prefix)


@pytest.mark.parametrize("key", ["a b", "a+b&c=d?e#f%20", "ü/ß", "a'\"<b>", "~!@$^*()", "a\\b", "日本/語"])
async def test_any_printable_name_is_a_key(objects: Objects, key: str) -> None:
    key = f"incoming/{key}.jsonl"
    await objects.put_new(key, b"one")
    assert await objects.get(key) == b"one"
    assert await listed(objects, "incoming/") == [Object(key, 3)]
    await objects.delete([key])
    assert await objects.size(key) is None


async def test_what_another_wrote_is_there_and_stays(objects: Objects, objects_url: str) -> None:
    other = await open_objects(objects_url)
    await other.put(KEY, b"one")
    assert [each async for each in other.list("work/")] == [Object(KEY, 3)]
    await objects.delete([KEY])
    assert await listed(other, "work/") == []
    await objects.put_new(KEY, b"two")
    with pytest.raises(Exists):
        await other.put_new(KEY, b"one")
    assert await other.get(KEY) == b"two"
    await other.close()


async def test_a_store_that_cannot_be_opened_says_so() -> None:
    with pytest.raises(ObjectsUnavailable, match="/dev/null/objects"):
        await open_objects("file:///dev/null/objects")


@pytest.mark.parametrize(
    "url", ["", "s3://", "file:///", "file://relative", "https://bucket", "s3://Bucket", "s3://a/b"]
)
async def test_another_url_names_no_store(url: str) -> None:
    with pytest.raises(ValueError, match="names no object storage"):
        await open_objects(url)
