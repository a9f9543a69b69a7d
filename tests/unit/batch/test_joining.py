"""Joining: every line once, in the input's order, from whatever the logs say; and settled as the files say."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as trying
from hypothesis import strategies as st

from functions.batch import joining, settling, sharding
from functions.batch.answers import Answers
from functions.batch.cleaning import clean
from functions.batch.joining import Joined, join
from functions.batch.validation import validate
from penstock.admission import request_id_of
from penstock.batches.addresses import log_entry, shard_input, work
from penstock.batches.log import Attempt, Begun, Closed, Ended, Entry, Result, written
from penstock.batches.records import Batch, Shard
from penstock.ledger import Bound, Lease, LedgerUnavailable, Usage
from penstock.objects import Objects, ObjectsUnavailable, open_objects
from penstock.prices import Price
from tests.unit.batch.inputs import BATCH, CALLER, MODELS, NOW, line, settings

pytestmark = pytest.mark.anyio

FINALIZING = replace(BATCH, finalizing_at=NOW + 1_000)
CANCELLED = replace(FINALIZING, cancelling_at=NOW + 500)
EXPIRED = replace(BATCH, finalizing_at=BATCH.expires_at)


class Settled:
    """A ledger that only settles and releases; it is away for so many calls first."""

    def __init__(self, away: int = 0) -> None:
        self.away = away
        self.settled: dict[str, Usage] = {}
        self.released: list[str] = []

    async def settle(self, lease: Lease, usage: Usage, outcome: str, now: int) -> None:
        self._answer()
        assert outcome == "completed"
        assert now > NOW
        assert self.settled.setdefault(lease.id, usage) == usage

    async def release(self, lease: Lease, now: int) -> bool:
        self._answer()
        self.released.append(lease.id)
        return True

    def _answer(self) -> None:
        if self.away:
            self.away -= 1
            raise LedgerUnavailable("away")


class Job:
    """A batch that was validated, whose shards are worked off by hand."""

    def __init__(self, objects: Objects, shards: Sequence[Shard]) -> None:
        self.objects = objects
        self.shards = shards
        self.ledger: Any = Settled()
        self.slices = 0  # that were begun
        self._entries = dict.fromkeys((shard.number for shard in shards), 0)

    async def lines(self, shard: int) -> list[int]:
        """The numbers of the shard's lines."""
        content = await self.objects.get(shard_input(BATCH.id, shard))
        return [orjson.loads(text)["line"] for text in content.splitlines()]

    async def log(self, shard: int, *entries: Entry) -> None:
        """Add entries to the shard's log."""
        for entry in entries:
            self.slices += isinstance(entry, Begun)
            await self.objects.put_new(log_entry(BATCH.id, shard, self._entries[shard]), written(entry))
            self._entries[shard] += 1

    async def run(self, shard: int, number: int, results: Sequence[Result]) -> None:
        """A slice from its beginning to its end."""
        lease = lease_of(shard, number)
        usage = used(sum(one.status == 200 for one in results))
        lines = tuple(one.line for one in results)
        await self.log(shard, Begun(number, lines, lease), Ended(number, lease, usage, tuple(results)))

    async def join(self, batch: Batch = FINALIZING) -> Joined:
        return await join(batch, self.shards, self.objects, self.ledger)

    async def files(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Output and errors; a file that is not there has no lines."""
        return await self._read(BATCH.output_address), await self._read(BATCH.error_address)

    async def _read(self, address: str) -> list[dict[str, Any]]:
        if await self.objects.size(address) is None:
            return []
        content = await self.objects.get(address)
        assert content.endswith(b"\n")
        return [orjson.loads(text) for text in content.splitlines()]


def lease_of(shard: int, number: int) -> Lease:
    price = Price("2026-01-01/batch", 1, 1, 1)
    return Lease(f"req_{shard}x{number}", "acme", "acme-key", "talker", Bound(100, 100), price, NOW, NOW + 1_000)


def used(answers: int) -> Usage:
    """What so many answers use."""
    return Usage(5 * answers, 2 * answers, 3 * answers)


def answered(number: int) -> Result:
    usage = {"prompt_tokens": 5, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 2}}
    body = orjson.dumps({"text": f'answer "usage": {number}', "usage": usage})
    return Result(number, 200, request_id_of(f"{BATCH.id}/{number}"), body)


def refused(number: int) -> Result:
    return Result(number, 400, request_id_of(f"{BATCH.id}/{number}"), b'{"error":{"message":"no"}}')


RESULTS = {"answered": answered, "refused": refused}


@pytest.fixture
async def objects(tmp_path: Path) -> AsyncGenerator[Objects]:
    opened = await open_objects(f"file://{tmp_path}/objects")
    yield opened
    await opened.close()


async def job_of(objects: Objects, tmp_path: Path, lines: int, **changes: Any) -> Job:
    await objects.put(BATCH.input_address, b"\n".join(line(f"id-{number}") for number in range(1, lines + 1)))
    found = await validate(BATCH, CALLER, MODELS, objects, settings(tmp_path, **changes), now=NOW)
    assert not found.errors
    return Job(objects, found.shards)


async def test_answers_and_refusals_are_files_in_openai_s_form(objects: Objects, tmp_path: Path) -> None:
    job = await job_of(objects, tmp_path, 2)
    await job.log(0, Attempt(1, "a"))
    await job.run(0, 0, [refused(2), answered(1)])
    joined = await job.join()
    first, second = (request_id_of(f"{BATCH.id}/{number}") for number in (1, 2))
    assert await job.files() == (
        [
            {
                "id": f"batch_{first}",
                "custom_id": "id-1",
                "response": {
                    "status_code": 200,
                    "request_id": first,
                    "body": orjson.loads(answered(1).body),
                },
                "error": None,
            }
        ],
        [
            {
                "id": f"batch_{second}",
                "custom_id": "id-2",
                "response": {"status_code": 400, "request_id": second, "body": {"error": {"message": "no"}}},
                "error": None,
            }
        ],
    )
    sizes = [await objects.size(address) for address in (BATCH.output_address, BATCH.error_address)]
    assert joined == Joined(1, 1, 0, used(1), *map(int, map(str, sizes)))


@pytest.mark.parametrize(
    ("batch", "code", "counts"),
    [
        (CANCELLED, "batch_cancelled", (1, 0, 2)),
        (EXPIRED, "batch_expired", (1, 0, 2)),
        (FINALIZING, "line_failed", (1, 2, 0)),
    ],
)
async def test_lines_without_a_result_say_why(
    objects: Objects, tmp_path: Path, batch: Batch, code: str, counts: tuple[int, int, int]
) -> None:
    job = await job_of(objects, tmp_path, 3)
    await job.run(0, 0, [answered(2)])
    joined = await job.join(batch)
    assert (joined.completed, joined.failed, joined.missing) == counts
    output, errors = await job.files()
    assert [one["custom_id"] for one in output] == ["id-2"]
    assert [(one["custom_id"], one["response"], one["error"]["code"]) for one in errors] == [
        ("id-1", None, code),
        ("id-3", None, code),
    ]
    assert all(one["error"]["message"] for one in errors)


async def test_a_file_without_lines_is_not_made(objects: Objects, tmp_path: Path) -> None:
    job = await job_of(objects, tmp_path, 1)
    await job.run(0, 0, [answered(1)])
    assert (await job.join()).error_size == 0
    assert await objects.size(BATCH.error_address) is None
    job = await job_of(objects, tmp_path, 1)
    await clean(BATCH.id, objects)
    await objects.delete([BATCH.output_address])
    job = await job_of(objects, tmp_path, 1)
    await job.run(0, 0, [refused(1)])
    assert (await job.join()).output_size == 0
    assert await objects.size(BATCH.output_address) is None


@dataclass(frozen=True)
class Course:
    """How a batch of 16 lines went: how it was cut, and what became of slices of its lines, taken in some order."""

    shard_lines: int
    window: int
    most_bytes: int  # of answers that are held at once
    chance: Random

    async def run(self, job: Job, shard: int) -> dict[int, str]:
        """Work the shard off; what became of each line. A slice of which nothing was answered has not ended."""
        lines, became, number = await job.lines(shard), dict[int, str](), 0
        self.chance.shuffle(lines)
        await job.log(shard, Attempt(1, "a"))
        while lines:
            size, number = self.chance.randint(1, 4), number + 1
            taken, lines = lines[:size], lines[size:]
            kinds = {one: self.chance.choice(["answered", "refused", "unrun"]) for one in taken}
            results = [RESULTS[kind](one) for one, kind in kinds.items() if kind != "unrun"]
            if results:
                await job.run(shard, number, results)
            else:
                await job.log(shard, Begun(number, tuple(taken), lease_of(shard, number)))
            became |= kinds
        await job.log(shard, Closed())
        return became


courses = st.builds(
    Course, st.integers(1, 9), st.integers(1, 20), st.integers(1, 1_000), st.randoms(use_true_random=False)
)


@trying(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=8, deadline=None)
@given(course=courses)
async def test_any_logs_make_every_line_once_in_order(objects: Objects, tmp_path: Path, course: Course) -> None:
    await clean(BATCH.id, objects)
    await objects.delete([BATCH.output_address, BATCH.error_address])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sharding, "WINDOW_LINES", course.window)
        patch.setattr(joining, "Answers", lambda: Answers(course.most_bytes))
        job = await job_of(objects, tmp_path, 16, shard_lines=course.shard_lines)
        became: dict[int, str] = {}
        for shard in job.shards:
            became |= await course.run(job, shard.number)
        joined = await job.join(CANCELLED)
    output, errors = await job.files()
    for file, kinds in ((output, ("answered",)), (errors, ("refused", "unrun"))):
        ids = [f"id-{number}" for number, kind in sorted(became.items()) if kind in kinds]
        assert [one["custom_id"] for one in file] == ids
    for one in output:
        assert one["response"]["body"]["text"] == f'answer "usage": {one["custom_id"].removeprefix("id-")}'
    count = list(became.values()).count
    assert (joined.completed, joined.failed, joined.missing) == (count("answered"), count("refused"), count("unrun"))
    assert joined.usage == used(len(output)) == joining._sum(list(job.ledger.settled.values()))
    assert not set(job.ledger.released) & set(job.ledger.settled)
    assert len(job.ledger.released) + len(job.ledger.settled) == job.slices


async def test_joining_again_comes_to_the_same(objects: Objects, tmp_path: Path) -> None:
    job = await job_of(objects, tmp_path, 9, shard_lines=4)
    for shard in job.shards:
        await job.run(shard.number, 0, [answered(one) for one in await job.lines(shard.number)])
    first, files = await job.join(), await job.files()
    assert await job.join() == first
    assert await job.files() == files


async def test_a_slice_without_a_lease_is_not_settled(objects: Objects, tmp_path: Path) -> None:
    job = await job_of(objects, tmp_path, 1)
    await job.log(0, Attempt(1, "a"), Ended(0, None, Usage(), (refused(1),)))
    assert (await job.join()).failed == 1
    assert not job.ledger.settled


async def test_a_ledger_that_is_away_for_a_while_is_waited_for(
    objects: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "_PAUSES_S", (0.0, 0.0))
    job = await job_of(objects, tmp_path, 1)
    await job.run(0, 0, [answered(1)])
    job.ledger = Settled(away=2)
    assert (await job.join()).completed == 1
    assert list(job.ledger.settled.values()) == [used(1)]


async def test_without_a_ledger_no_file_is_made(
    objects: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "_PAUSES_S", (0.0, 0.0))
    job = await job_of(objects, tmp_path, 4, shard_lines=2)
    for shard in job.shards:
        await job.run(shard.number, 0, [answered(one) for one in await job.lines(shard.number)])
    job.ledger = Settled(away=1_000)
    with pytest.raises(LedgerUnavailable):
        await job.join()
    assert await job.files() == ([], [])


async def test_storage_that_fails_on_the_way_leaves_no_file(
    objects: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharding, "WINDOW_LINES", 2)
    monkeypatch.setattr("functions.batch.joined_file._PART", 1)
    job = await job_of(objects, tmp_path, 4)
    for shard in job.shards:
        await job.run(shard.number, 0, [answered(one) for one in await job.lines(shard.number)])
    get = objects.get

    async def failing(key: str) -> bytes:
        if key == shard_input(BATCH.id, 1):
            raise ObjectsUnavailable("away")
        return await get(key)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(objects, "get", failing)
        with pytest.raises(ObjectsUnavailable):
            await job.join()
    assert await job.files() == ([], [])
    assert (await job.join()).completed == 4


async def test_usage_that_differs_from_the_answers_is_told(
    objects: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(joining.logger, "error", lambda event, **_: told.append(event))
    job = await job_of(objects, tmp_path, 2)
    await job.run(0, 0, [answered(1)])
    await job.join()
    assert not told
    await job.log(0, Ended(1, lease_of(0, 1), used(2), (answered(2),)))
    joined = await job.join()
    assert told == ["usage_differs"]
    assert joined.usage == used(3)  # as it was settled


@pytest.mark.parametrize(
    ("body", "usage"),
    [
        (answered(1).body, used(1)),
        (b'{"data":[],"usage":{"prompt_tokens":7,"total_tokens":7}}', Usage(7)),
        (b'{"usage":{"prompt_tokens":7,"completion_tokens":1},"choices":[{"usage":0}]}', Usage(7, 0, 1)),
        (b'{"usage" : {"prompt_tokens":7,"completion_tokens":1,"prompt_tokens_details":null}}', Usage(7, 0, 1)),
    ],
)
def test_an_answer_s_usage_is_found_wherever_it_stands(body: bytes, usage: Usage) -> None:
    assert joining._usage_of(body) == usage


async def test_cleaning_removes_the_batch_s_work_and_nothing_else(objects: Objects, tmp_path: Path) -> None:
    await job_of(objects, tmp_path, 5, shard_lines=1)
    await objects.put(work("batch_10") + "stop.json", b"{}")
    await asyncio.gather(clean(BATCH.id, objects), clean(BATCH.id, objects))
    assert [one async for one in objects.list(work(BATCH.id))] == []
    assert await objects.size(work("batch_10") + "stop.json") == 2
    assert await objects.size(BATCH.input_address)
    await clean(BATCH.id, objects)
