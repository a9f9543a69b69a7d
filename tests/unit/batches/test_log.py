"""A shard's log: every entry is read as it was written, and what is none is refused."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from penstock.batches.addresses import log_entry
from penstock.batches.log import (
    Attempt,
    Begun,
    Closed,
    Ended,
    Entry,
    Result,
    close,
    entries,
    read,
    results,
    unended,
    written,
)
from penstock.ledger.records import Bound, Lease, Usage
from penstock.objects import Exists, open_objects
from penstock.prices import Price

pytestmark = pytest.mark.anyio

LEASE = Lease(
    id="req_1",
    account_id="acme",
    key_id="acme-key",
    model="demo",
    bound=Bound(tokens=100, nano=200_000),
    price=Price("2026-01-01/batch", prompt=500, cached_prompt=50, completion=1_000),
    reserved_at=1_000,
    deadline=2_000,
    requests=2,
)
USAGE = Usage(prompt_tokens=20, cached_prompt_tokens=10, completion_tokens=30)
ANSWERED = Result(7, 200, "req_7", b'{"object":"chat.completion"}')
REFUSED = Result(9, 429, "req_9", '{"error":{"message":"nein, 別の日に"}}'.encode())
ENDED = Ended(0, LEASE, USAGE, (ANSWERED, REFUSED))


@pytest.mark.parametrize(
    "entry",
    [
        Attempt(3, "w-1f"),
        Begun(0, (7, 9), LEASE),
        Begun(1, (), LEASE),
        ENDED,
        Ended(4, None, Usage(), (REFUSED,)),
        Ended(5, LEASE, Usage(), ()),
        Closed(),
    ],
)
def test_an_entry_is_read_as_it_was_written(entry: Entry) -> None:
    assert read(written(entry)) == entry


def test_bodies_stand_as_they_came() -> None:
    assert written(ENDED).split(b"\n")[1:] == [ANSWERED.body, REFUSED.body]


def test_a_body_of_two_lines_is_no_result() -> None:
    with pytest.raises(ValueError, match="line 7"):
        Result(7, 200, "req_7", b'{\n"object":"chat.completion"}')


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'{"kind":"begin"}',
        b'{"kind":"attempt","attempt":"3","worker":"w"}',
        b'{"kind":"attempt","attempt":3,"worker":"w"}\n{}',
        written(ENDED).rpartition(b"\n")[0],  # a body is missing
        written(ENDED) + b"\n{}",
        written(ENDED)[:40],
    ],
)
def test_what_is_no_entry_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (pydantic's, or ours)
        read(content)


def test_results_are_those_of_slices_that_ended() -> None:
    log: list[Any] = [Attempt(1, "a"), Begun(0, (7, 9), LEASE), Begun(1, (8,), LEASE), ENDED, Attempt(2, "b")]
    assert results(log) == {7: ANSWERED, 9: REFUSED}
    assert unended(log) == [Begun(1, (8,), LEASE)]


async def test_nothing_is_added_to_a_closed_log(tmp_path: Path) -> None:
    objects = await open_objects(f"file://{tmp_path}")
    await objects.put_new(log_entry("batch_1", 3, 0), written(Attempt(1, "a")))
    await asyncio.gather(*(close(objects, "batch_1", 3) for _ in range(4)))
    await close(objects, "batch_1", 3)
    assert [entry async for entry in entries(objects, "batch_1", 3)] == [Attempt(1, "a"), Closed()]
    with pytest.raises(Exists):
        await objects.put_new(log_entry("batch_1", 3, 1), written(ENDED))
    await objects.close()


async def test_a_log_that_was_never_begun_can_be_closed(tmp_path: Path) -> None:
    objects = await open_objects(f"file://{tmp_path}")
    await close(objects, "batch_1", 0)
    assert [entry async for entry in entries(objects, "batch_1", 0)] == [Closed()]
    await objects.close()
