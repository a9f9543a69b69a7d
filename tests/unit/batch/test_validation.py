"""Validating a whole input: shards of every good file, errors by line of every other, in bounded memory."""

import asyncio
import tracemalloc
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as trying
from hypothesis import strategies as st

from functions.batch import sharding, validation
from functions.batch.validation import Validated, validate
from penstock.batches.addresses import shard_input, work
from penstock.batches.records import MOST_ERRORS
from penstock.ledger.records import Caller
from penstock.objects import Objects, open_objects
from tests.unit.batch.inputs import BATCH, CALLER, MODELS, NOW, chat, line, settings

pytestmark = pytest.mark.anyio


@pytest.fixture
async def objects(tmp_path: Path) -> AsyncGenerator[Objects]:
    opened = await open_objects(f"file://{tmp_path}/objects")
    yield opened
    await opened.close()


async def validated(
    objects: Objects, content: bytes, tmp_path: Path, *, caller: Caller | None = CALLER, **changes: Any
) -> Validated:
    await objects.put(BATCH.input_address, content)
    return await validate(BATCH, caller, MODELS, objects, settings(tmp_path, **changes), now=NOW)


async def lines_of(objects: Objects, found: Validated) -> list[list[dict[str, Any]]]:
    contents = [await objects.get(shard_input(BATCH.id, shard.number)) for shard in found.shards]
    return [[orjson.loads(text) for text in content.splitlines()] for content in contents]


async def test_the_good_lines_of_a_file_become_shards(objects: Objects, tmp_path: Path) -> None:
    lines = [line(f"id-{number}", body=chat(f"{number % 3} says {number}")) for number in range(1, 10)]
    content = b"\xef\xbb\xbf" + b"\r\n".join([*lines[:4], b"", b"  ", *lines[4:]])
    found = await validated(objects, content, tmp_path, shard_lines=4)
    assert (found.lines, found.errors, found.more_errors) == (9, (), False)
    shards = await lines_of(objects, found)
    assert [shard.lines for shard in found.shards] == [4, 4, 1] == list(map(len, shards))
    together = [one for shard in shards for one in shard]
    numbers = {f"id-{number}": number if number <= 4 else number + 2 for number in range(1, 10)}
    assert {one["custom_id"]: one["line"] for one in together} == numbers
    beginnings = [one["body"]["messages"][0]["content"][0] for one in together]
    assert beginnings == sorted(beginnings)


async def test_the_same_input_makes_the_same_shards(objects: Objects, tmp_path: Path) -> None:
    content = b"\n".join(line(f"id-{number}") for number in range(50))
    first = await validated(objects, content, tmp_path, shard_lines=7)
    lines = await lines_of(objects, first)
    assert await validated(objects, content, tmp_path, shard_lines=7) == first
    assert await lines_of(objects, first) == lines


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf\r\n", b" "])
async def test_an_empty_file_is_refused(objects: Objects, tmp_path: Path, content: bytes) -> None:
    found = await validated(objects, content, tmp_path)
    assert [(error.code, error.line) for error in found.errors] == [("empty_file", None)]


async def test_a_file_that_is_gone_is_refused(objects: Objects, tmp_path: Path) -> None:
    found = await validate(BATCH, CALLER, MODELS, objects, settings(tmp_path), now=NOW)
    assert [(error.code, error.line) for error in found.errors] == [("file_not_found", None)]


async def test_nobody_s_input_is_not_read(objects: Objects, tmp_path: Path) -> None:
    off = replace(CALLER, account=replace(CALLER.account, enabled=False))
    over = replace(CALLER, key=replace(CALLER.key, expires_at=NOW))
    for caller, code in ((None, "invalid_api_key"), (off, "account_disabled"), (over, "invalid_api_key")):
        found = await validated(objects, b"nonsense", tmp_path, caller=caller)
        assert [(error.code, error.line) for error in found.errors] == [(code, None)]


WRONG = [
    (b"{", None),
    (b"\xff", None),
    (line("a" * 513), "custom_id"),
    (line("", url="/v1/models"), "custom_id"),
    (b'{"custom_id":1}', "custom_id"),
]


def text_of(kind: str | int, number: int) -> bytes:
    """A line of that kind: one of the wrong ones, or good, or empty."""
    if isinstance(kind, int):
        return WRONG[kind][0]
    return line(f"id-{number}") if kind == "good" else b""


kinds = st.lists(st.one_of(st.just("good"), st.just("empty"), st.integers(0, len(WRONG) - 1)), max_size=30)


@trying(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kinds=kinds)
async def test_whatever_is_mixed_the_wrong_lines_are_told_by_number(
    objects: Objects, tmp_path: Path, kinds: list[str | int]
) -> None:
    content = b"\n".join(text_of(kind, number) for number, kind in enumerate(kinds, 1))
    found = await validated(objects, content, tmp_path, shard_lines=3)
    wrong = [(number, WRONG[kind][1]) for number, kind in enumerate(kinds, 1) if isinstance(kind, int)]
    good = [number for number, kind in enumerate(kinds, 1) if kind == "good"]
    if wrong:
        assert [(error.line, error.param) for error in found.errors] == wrong
        assert not found.shards
    elif good:
        shards = await lines_of(objects, found)
        assert sorted(one["line"] for shard in shards for one in shard) == good
    assert found.lines == len(good) + len(wrong)


@pytest.mark.parametrize("wrong", [99, 100, 101, 500])
async def test_the_first_hundred_errors_are_told(objects: Objects, tmp_path: Path, wrong: int) -> None:
    content = b"\n".join([line("good"), *[b"{"] * wrong])
    found = await validated(objects, content, tmp_path)
    assert [error.line for error in found.errors] == list(range(2, 2 + min(wrong, MOST_ERRORS)))
    assert found.more_errors is (wrong > MOST_ERRORS)


async def test_a_line_that_is_too_long_is_told_and_the_others_are_read(objects: Objects, tmp_path: Path) -> None:
    content = b"\n".join([line("a"), line("b", body=chat("x" * 200_000)), b"{"])
    found = await validated(objects, content, tmp_path, max_body_bytes=2_048)
    assert [(error.line, error.code) for error in found.errors] == [(2, "request_too_large"), (3, "invalid_json_line")]


async def test_a_file_has_so_many_lines_and_bytes_at_most(
    objects: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b"\n".join(line(f"id-{number}") for number in range(5))
    monkeypatch.setattr(validation, "MOST_LINES", 4)
    assert [error.code for error in (await validated(objects, content, tmp_path)).errors] == ["too_many_tasks"]
    monkeypatch.setattr(validation, "MOST_LINES", 5)
    monkeypatch.setattr(validation, "MOST_BYTES", len(content) - 1)
    assert [error.code for error in (await validated(objects, content, tmp_path)).errors] == ["file_too_large"]
    monkeypatch.setattr(validation, "MOST_BYTES", len(content))
    assert (await validated(objects, content, tmp_path)).lines == 5


async def test_windows_are_cut_one_after_the_other(
    objects: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharding, "WINDOW_LINES", 10)
    content = b"\n".join(line(f"id-{number}") for number in range(25))
    found = await validated(objects, content, tmp_path, shard_lines=6)
    assert [(shard.window, shard.lines) for shard in found.shards] == [(0, 6), (0, 4), (1, 6), (1, 4), (2, 5)]
    shards = await lines_of(objects, found)
    for shard, lines in zip(found.shards, shards, strict=True):
        assert {(one["line"] - 1) // 10 for one in lines} == {shard.window}


async def test_after_an_error_nothing_more_is_written(
    objects: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharding, "WINDOW_LINES", 10)
    good = [line(f"id-{number}") for number in range(40)]
    found = await validated(objects, b"\n".join([*good[:15], b"{", *good[15:]]), tmp_path)
    assert [error.line for error in found.errors] == [16]
    assert [one.key async for one in objects.list(work(BATCH.id))] == [shard_input(BATCH.id, 0)]


async def test_the_event_loop_has_its_turn(objects: Objects, tmp_path: Path) -> None:
    await objects.put(BATCH.input_address, b"\n".join(line(f"id-{number}") for number in range(2_000)))
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    await validate(BATCH, CALLER, MODELS, objects, settings(tmp_path), now=NOW)
    counting.cancel()
    assert turns > 2_000 // 64


async def test_a_file_is_never_in_memory_as_a_whole(
    objects: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharding, "WINDOW_LINES", 100)
    monkeypatch.setattr(validation, "_CHUNK", 64 << 10)
    content = b"\n".join(line(f"id-{number}", body=chat("x" * 2_000)) for number in range(4_000))
    await validated(objects, content[:100_000].rpartition(b"\n")[0], tmp_path)  # what is made once is there by now
    await objects.put(BATCH.input_address, content)
    tracemalloc.start()
    found = await validate(BATCH, CALLER, MODELS, objects, settings(tmp_path), now=NOW)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.lines == 4_000
    assert peak < len(content) / 2
