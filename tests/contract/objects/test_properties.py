"""Whatever is done to a store, in whatever order: it is a mapping of keys to contents."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.objects import Exists, Missing, Objects, open_objects

# No key lies under another: a folder has no such objects.
KEYS = ["a/1", "a/10", "a/2/x", "a.b/1", "ab", "b/é/1"]
PREFIXES = ["a/", "a/2/", "a.b/", "b/", "c/"]
CONTENTS = [b"", b"one", b"two", bytes(70_000)]

keys, contents = st.sampled_from(KEYS), st.sampled_from(CONTENTS)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), keys, contents),
        st.tuples(st.just("put_new"), keys, contents),
        st.tuples(st.just("write"), keys, contents),
        st.tuples(st.just("abandon"), keys, contents),
        st.tuples(st.just("delete"), keys, st.just(b"")),
    ),
    max_size=12,
)


async def take(objects: Objects, model: dict[str, bytes], step: tuple[str, str, bytes]) -> None:
    """Do one thing to the store and to its model."""
    what, key, content = step
    if what == "delete":
        await objects.delete([key])
        model.pop(key, None)
    elif what == "put":
        await objects.put(key, content)
        model[key] = content
    elif what == "put_new":
        try:
            await objects.put_new(key, content)
        except Exists:
            assert model[key] != content
        else:
            assert model.setdefault(key, content) == content
    else:
        await write(objects, key, content, abandoned=what == "abandon")
        if what == "write":
            model[key] = content


async def write(objects: Objects, key: str, content: bytes, *, abandoned: bool) -> None:
    try:
        async with objects.writer(key) as writer:
            for begin in range(0, len(content), 50_000):
                await writer.write(content[begin : begin + 50_000])
            if abandoned:
                raise InterruptedError
    except InterruptedError:
        assert abandoned


async def check(objects: Objects, model: dict[str, bytes]) -> None:
    """The store is what its model says."""
    for key in KEYS:
        assert await objects.size(key) == (len(model[key]) if key in model else None)
        try:
            content = await objects.get(key)
            chunks = [chunk async for chunk in objects.chunks(key, size=40_000)]
        except Missing:
            assert key not in model
        else:
            assert content == b"".join(chunks) == model[key]
    for prefix in PREFIXES:
        listed = [(each.key, each.size) async for each in objects.list(prefix)]
        assert listed == [(key, len(model[key])) for key in sorted(model) if key.startswith(prefix)]


async def run(url: str, steps: list[tuple[str, str, bytes]]) -> None:
    objects, model = await open_objects(url), dict[str, bytes]()
    await objects.delete(KEYS)
    for step in steps:
        await take(objects, model, step)
    await check(objects, model)
    await objects.close()


@settings(max_examples=60)
@given(steps=STEPS)
def test_a_folder_is_a_mapping(tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str, bytes]]) -> None:
    asyncio.run(run(f"file://{tmp_path_factory.mktemp('objects')}", steps))


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=STEPS)
def test_a_bucket_is_a_mapping(bucket_url: str, steps: list[tuple[str, str, bytes]]) -> None:
    asyncio.run(run(bucket_url, steps))


def test_what_is_deleted_leaves_no_folder(tmp_path: Path) -> None:
    async def make_and_delete() -> None:
        objects = await open_objects(f"file://{tmp_path}")
        for key in KEYS:
            await objects.put(key, b"")
        await objects.delete(KEYS)
        await objects.close()

    asyncio.run(make_and_delete())
    assert [path.name for path in tmp_path.rglob("*")] == [".drafts"]
