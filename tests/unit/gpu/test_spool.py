"""The spool: what it keeps, how, and what it does with what is not its own."""

import asyncio
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import LogCapture
from structlog.typing import EventDict

from functions.gpu import spool as spool_module
from functions.gpu.settlement import Settlement
from functions.gpu.spool import DRAFT_LIFE_S, MAX_FILE, Spool, _name
from penstock.ledger import Usage
from penstock.models import ConfigError
from tests.unit.gpu.lease import LEASE

pytestmark = pytest.mark.anyio


def settlement(request_id: str = "req_1", tokens: int = 5) -> Settlement:
    return Settlement(replace(LEASE, id=request_id), Usage(7, 0, tokens), "completed")


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def contents(folder: Path) -> set[bytes]:
    return {file.read_bytes() for file in folder.iterdir()}


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[EventDict]:
    """What it logs."""
    capture = LogCapture()
    monkeypatch.setattr(spool_module, "log", structlog.wrap_logger(None, processors=[capture]))
    return capture.entries


async def test_what_is_kept_is_there_for_the_next_one_and_for_nobody_else(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "spool"
    spool = await Spool.open(folder)
    assert await spool.left() == []
    assert await spool.keep(settlement())
    assert names(folder) == ["req_1.json"]
    assert (folder / "req_1.json").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    await spool.close()

    later = await Spool.open(folder)
    assert await later.left() == ["req_1.json"]
    assert await later.read("req_1.json") == settlement()
    await later.drop(settlement())
    assert names(folder) == []
    await later.close()


async def test_the_oldest_comes_first(tmp_path: Path) -> None:
    spool = await Spool.open(tmp_path)
    for age, request_id in enumerate(["req_b", "req_c", "req_a"]):
        await spool.keep(settlement(request_id))
        os.utime(tmp_path / f"{request_id}.json", (1_000 + age, 1_000 + age))
    assert await spool.left() == ["req_b.json", "req_c.json", "req_a.json"]
    await spool.close()


async def test_keeping_and_dropping_twice_is_as_once(tmp_path: Path) -> None:
    spool = await Spool.open(tmp_path)
    assert all(await asyncio.gather(spool.keep(settlement()), spool.keep(settlement())))
    await spool.drop(settlement())
    await spool.drop(settlement())
    await spool.drop(settlement("req_never_kept"))
    assert names(tmp_path) == []
    await spool.close()


async def test_a_drop_overtakes_no_write(tmp_path: Path) -> None:
    spool = await Spool.open(tmp_path)
    writing = asyncio.create_task(spool.keep(settlement()))
    await asyncio.sleep(0)
    await spool.drop(settlement())
    await writing
    assert names(tmp_path) == []
    await spool.close()


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"x" * (MAX_FILE + 10), settlement("req_other").written(), settlement().written()[:-9]],
    ids=["empty", "half", "huge", "another's", "cut"],
)
async def test_a_file_that_cannot_be_read_is_moved_aside_and_named(
    tmp_path: Path, lines: list[EventDict], content: bytes
) -> None:
    (tmp_path / "req_1.json").write_bytes(content)
    spool = await Spool.open(tmp_path)
    assert await spool.read("req_1.json") is None
    assert await spool.left() == []
    await spool.close()
    assert (tmp_path / "req_1.json.bad").read_bytes() == content
    assert [(line["event"], line["file"]) for line in lines] == [("spool_unreadable", "req_1.json")]


async def test_what_is_set_aside_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "req_1.json.bad").write_bytes(b"the first")
    spool = await Spool.open(tmp_path)
    await spool.set_aside(settlement())
    await spool.close()
    assert contents(tmp_path) == {b"the first", settlement().written()}


async def test_what_is_set_aside_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[EventDict]
) -> None:
    monkeypatch.setattr(spool_module, "MAX_BAD", 1)
    spool = await Spool.open(tmp_path)
    for number in range(2):
        await spool.set_aside(settlement(f"req_{number}"))
    await spool.close()
    assert names(tmp_path) == ["req_0.json.bad", "req_1.json"]
    assert [line["event"] for line in lines] == ["spool_failed"]


async def test_other_files_are_left_alone(tmp_path: Path) -> None:
    for name in ("notes.txt", "req_9.json.bad", "young.new", "old.new"):
        (tmp_path / name).write_bytes(b"")
    old = time.time() - DRAFT_LIFE_S - 60
    os.utime(tmp_path / "old.new", (old, old))
    spool = await Spool.open(tmp_path)
    assert await spool.left() == []
    await spool.close()
    assert names(tmp_path) == ["notes.txt", "req_9.json.bad", "young.new"]  # the old draft was nobody's any more


async def test_two_processes_share_a_folder(tmp_path: Path) -> None:
    one = await Spool.open(tmp_path)
    await one.keep(settlement())
    other = await Spool.open(tmp_path)
    left = await other.left()
    assert await other.read(left[0]) == settlement()
    await one.drop(settlement())  # the one has settled it
    assert await other.read(left[0]) is None
    await other.drop(settlement())  # and the other has, too
    await one.keep(settlement("req_2"))
    await other.keep(settlement("req_2"))
    await other.drop(settlement("req_2"))
    await one.drop(settlement("req_2"))
    assert names(tmp_path) == []
    await one.close()
    await other.close()


async def test_a_disk_that_fails_is_said_and_tried_again(tmp_path: Path, lines: list[EventDict]) -> None:
    folder = tmp_path / "spool"
    spool = await Spool.open(folder)
    folder.rmdir()
    assert not await spool.keep(settlement())
    await spool.drop(settlement())
    folder.mkdir()
    assert await spool.keep(settlement())
    await spool.close()
    assert [(line["event"], line["request_id"]) for line in lines] == [("spool_failed", "req_1")]


async def test_a_folder_that_cannot_be_used_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "spool"):
        with pytest.raises(ConfigError, match=f"PENSTOCK_SPOOL: {folder}"):
            await Spool.open(folder)


@given(st.text(min_size=1, max_size=60))
def test_no_id_leaves_the_folder(request_id: str) -> None:
    name = _name(settlement(request_id.encode(errors="replace").decode()))
    assert Path(name).name == name
    assert name.endswith(".json")
