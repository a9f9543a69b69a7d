"""Several processes at once, and one that is killed."""

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from penstock.objects import Object, Objects, open_objects

pytestmark = pytest.mark.anyio

COUNT = 40


@pytest.fixture
def processes() -> Iterator[ExitStack]:
    """What is started on it ends with the test."""
    with ExitStack() as stack:
        yield stack


def maker(processes: ExitStack, *arguments: str) -> subprocess.Popen[str]:
    """A process of `maker`."""
    command = [sys.executable, "-m", "tests.contract.objects.maker", *arguments]
    process = processes.enter_context(
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    )
    processes.callback(process.kill)
    return process


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


async def test_of_several_processes_one_makes_each_new_object(
    objects: Objects, objects_url: str, processes: ExitStack
) -> None:
    names = ["one", "two", "three"]
    makers = [maker(processes, "new", objects_url, "logs/", name, str(COUNT)) for name in names]
    assert [line(process) for process in makers] == ["ready"] * 3
    answers = await asyncio.gather(*(asyncio.to_thread(process.communicate, "go\n") for process in makers))
    made = {int(number): name for name, (output, _) in zip(names, answers, strict=True) for number in output.split()}
    assert Counter(number for output, _ in answers for number in output.split()) == dict.fromkeys(
        map(str, range(COUNT)), 1
    )
    assert {number: (await objects.get(f"logs/{number}")).decode() for number in range(COUNT)} == made


async def test_several_processes_that_make_the_same_all_succeed(
    objects: Objects, objects_url: str, processes: ExitStack
) -> None:
    makers = [maker(processes, "new", objects_url, "logs/", "the same", str(COUNT)) for _ in range(3)]
    assert [line(process) for process in makers] == ["ready"] * 3
    answers = await asyncio.gather(*(asyncio.to_thread(process.communicate, "go\n") for process in makers))
    for output, _ in answers:
        assert sorted(map(int, output.split())) == list(range(COUNT))
    assert await objects.get("logs/0") == b"the same"


async def test_of_a_writer_that_is_killed_nothing_is_seen(
    objects: Objects, objects_url: str, processes: ExitStack
) -> None:
    await objects.put("files/one", b"old")
    process = maker(processes, "writer", objects_url, "files/one")
    for _ in range(20):  # more than two parts of an upload
        assert await asyncio.to_thread(line, process) == "written"
    process.kill()
    process.wait()
    again = await open_objects(objects_url)
    assert await again.get("files/one") == b"old"
    assert [each async for each in again.list("files/")] == [Object("files/one", 3)]
    async with again.writer("files/one") as writer:
        await writer.write(b"new")
    assert await again.get("files/one") == b"new"
    await again.close()


async def test_readers_see_the_old_or_the_new_and_no_part(objects: Objects, objects_url: str) -> None:
    contents = [bytes([number]) * (1 << 20) for number in range(20)]
    other = await open_objects(objects_url)
    await objects.put("a", contents[0])

    async def replace() -> None:
        for content in contents:
            await objects.put("a", content)

    replacing = asyncio.create_task(replace())
    seen = set()
    while not replacing.done():
        content = await other.get("a")
        assert content in contents
        seen.add(content[0])
    await replacing
    assert len(seen) > 1
    await other.close()
