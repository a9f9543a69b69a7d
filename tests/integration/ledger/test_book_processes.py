"""A book under several processes, one of which is killed."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from penstock.batches import Book, open_book
from penstock.batches.records import Batch, Status
from tests.contract.books import batch_of, full, shards_of

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[3]
PATIENCE = 120  # seconds; only a hung process takes that long
COUNT = 2_000  # batches, of which it makes some dozens until it is killed


def killed_at_work(url: str, batches: int) -> dict[str, set[int]]:
    """What a process said that was killed when it had closed so many batches: their numbers by the words."""
    command = [sys.executable, "-m", "tests.integration.ledger.book_worker", url, str(COUNT)]
    process = subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE)
    with process:
        assert process.stdout is not None
        said = [process.stdout.readline().split() for _ in range(3 * batches)]
        process.kill()
        said += [line.split() for line in process.stdout.read().splitlines()]
        process.wait(PATIENCE)
    return {word: {int(number) for verb, number in said if verb == word} for word in ("made", "begun", "closed")}


async def test_what_was_acknowledged_survives_kill_9(ledger_url: str) -> None:
    opened = await open_book(ledger_url)  # makes the file
    said = killed_at_work(ledger_url, 20)
    assert 20 <= len(said["closed"]) < COUNT
    found = {batch.id: batch for batch in await opened.batches("acme", limit=COUNT)}
    for number in said["made"]:
        await as_said(opened, found[batch_of(number).id], number, said)
    # At most one more was made that could not be said. Of all, those are open that are not closed.
    assert len(found) <= len(said["made"]) + 1
    assert await opened.open_batches() == sorted(batch.id for batch in found.values() if not batch.closed)
    assert len(await opened.open_batches()) <= 1
    await opened.close()


async def as_said(book: Book, batch: Batch, number: int, said: dict[str, set[int]]) -> None:
    """The batch is as far as was said, or one step further."""
    new = batch_of(number)
    begun = replace(new, status=Status.IN_PROGRESS, shards=2, revision=1)
    stages = [new, begun, replace(full(begun), revision=2)]
    least = (number in said["begun"]) + (number in said["closed"])
    assert batch in stages[least : least + 2]
    if least:
        assert await book.shards(batch.id) == shards_of(new, 2)
