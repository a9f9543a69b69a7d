"""A batch is exactly once what it was asked for, whatever dies, fails or comes twice on the way.

Where a run fails its seed is in the message: PENSTOCK_CHAOS_SEED plays it again, as far as processes that run side by
side can be.
"""

import os
import secrets
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest

from penstock.batches.records import Batch, Status
from penstock.clock import MINUTE, now_ms
from penstock.ledger import Usage
from penstock.models import read_models
from penstock.objects import Objects
from tests.integration.batch.chaos.havoc import Havoc, Plan, havoc
from tests.integration.batch.chaos.lines import batch_input, written
from tests.integration.batch.chaos.worker import WORKING
from tests.integration.gpu.shard_stand import usage_of
from tests.integration.gpu.stand import CONFIG
from tests.servers.faults import Faults

pytestmark = pytest.mark.anyio

SEED = os.environ.get("PENSTOCK_CHAOS_SEED") or secrets.token_hex(4)
LINES = 5_000
PLAN = Plan(
    seed=SEED,
    rate=0.1,
    deaths={Status.VALIDATING: 2, Status.IN_PROGRESS: 6, Status.FINALIZING: 3, Status.COMPLETED: 1},
    longest_life={Status.VALIDATING: 40, Status.IN_PROGRESS: 300, Status.FINALIZING: 300, Status.COMPLETED: 10},
    worker_deaths=5,
    longest_work=60,
)
CLOUD_LINES = 400
CLOUD_PLAN = Plan(
    seed=SEED,
    rate=0.02,  # on top of what the servers do
    deaths={Status.VALIDATING: 1, Status.IN_PROGRESS: 2, Status.FINALIZING: 1},
    longest_life={Status.VALIDATING: 20, Status.IN_PROGRESS: 150, Status.FINALIZING: 60},
    worker_deaths=2,
    longest_work=30,
    shard_lines=60,
)


async def test_a_batch_is_exactly_once_what_was_asked(tmp_path: Path) -> None:
    urls = {"ledger_url": f"sqlite:///{tmp_path / 'ledger.db'}", "objects_url": f"file://{tmp_path / 'objects'}"}
    async with havoc(PLAN, tmp_path, **urls) as run:
        await is_right(run, *await worked_off(run, LINES))


async def test_that_is_so_on_dynamodb_and_s3_of_whose_answers_a_tenth_are_errors(
    tmp_path: Path, dynamodb_url: str, bucket_url: str, dynamodb_faults: Faults
) -> None:
    """Where a call of ours is many requests, and a death can fall between any two."""
    dynamodb_faults.rate = 0.0
    async with havoc(CLOUD_PLAN, tmp_path, ledger_url=dynamodb_url, objects_url=bucket_url) as run:
        dynamodb_faults.rate = 0.1
        batch, lines = await worked_off(run, CLOUD_LINES)
        dynamodb_faults.rate = 0.0
        await is_right(run, batch, lines)
    befallen = {operation for operation, _ in dynamodb_faults.done}
    assert befallen >= {"UpdateItem", "TransactWriteItems", "PutObject", "GetObject"}


async def worked_off(run: Havoc, count: int) -> tuple[Batch, list[dict[str, Any]]]:
    """A batch of so many lines, closed, and the lines."""
    lines = batch_input(count, SEED)
    batch = await run.work_off(await run.batch_of(written(lines)))
    run.say()
    return batch, lines


async def is_right(run: Havoc, batch: Batch, lines: list[dict[str, Any]]) -> None:
    """The batch is what it should be, and so was the chaos."""
    assert batch.status is Status.COMPLETED
    await holds_each_line_once(batch, lines, run.objects)
    await is_billed_as_answered(batch, run)
    deaths = run.deaths()
    assert all(deaths[status.value] >= wanted for status, wanted in run.plan.deaths.items()), deaths
    assert deaths[WORKING] == run.plan.worker_deaths
    assert batch.completed > 0.9 * len(lines)
    assert batch.failed > 0


async def holds_each_line_once(batch: Batch, lines: list[dict[str, Any]], objects: Objects) -> None:
    """Output and errors are the input: each line is in one of them, in the input's order."""
    output = await results(objects, batch.output_address)
    errors = await results(objects, batch.error_address)
    assert all(one["response"]["status_code"] == 200 for one in output)
    assert all(one["response"] is None or one["response"]["status_code"] != 200 for one in errors)
    assert (batch.lines, batch.completed, batch.failed) == (len(lines), len(output), len(errors))
    answered = {one["custom_id"] for one in output}
    ids = [line["custom_id"] for line in lines]
    assert [one["custom_id"] for one in output] == [one for one in ids if one in answered]
    assert [one["custom_id"] for one in errors] == [one for one in ids if one not in answered]
    of_line = [one["id"] for one in (*output, *errors)]
    assert len(set(of_line)) == len(of_line)
    assert [one.key async for one in objects.list(f"work/{batch.id}/")] == []


async def is_billed_as_answered(batch: Batch, run: Havoc) -> None:
    """The ledger has the usage and the cost of the lines that were answered, and nothing else."""
    output = await results(run.objects, batch.output_address)
    used = total([usage_of(one["response"]["body"]) for one in output])
    model = read_models(CONFIG).get("demo")
    assert model is not None
    price = model.price_at(now_ms(), batch=True)
    assert price is not None
    # A worker that is killed after it has reserved, and before its log says so, leaves that to the lease's deadline.
    while await run.ledger.expire(now_ms() + 2 * 60 * MINUTE):
        pass
    rows = await run.ledger.usage()
    assert batch.usage == used == total([row.usage for row in rows])
    assert sum(row.requests for row in rows) == len(output)
    assert sum(row.nano for row in rows) == used.cost(price)
    records = await run.ledger.records(limit=100_000)
    assert total([record.usage for record in records]) == used
    assert Counter(record.provisional for record in records) == {False: len(records)}
    audit = await run.ledger.audit(now_ms())
    assert audit.findings == ()
    assert audit.leases == 0


async def results(objects: Objects, address: str) -> list[dict[str, Any]]:
    """The lines of an output or an error file."""
    return [orjson.loads(line) for line in (await objects.get(address)).splitlines()]


def total(usages: list[Usage]) -> Usage:
    """Added up."""
    return Usage(
        sum(one.prompt_tokens for one in usages),
        sum(one.cached_prompt_tokens for one in usages),
        sum(one.completion_tokens for one in usages),
    )
