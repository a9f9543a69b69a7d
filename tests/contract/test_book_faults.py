"""A book whose way to DynamoDB is bad: what it sends fails by chance, before or after its effect.

With one caller, what comes out is what comes out on a good way, but that a file which was removed may be said to
have been gone. With several, a change that was stored may be said not to be, where another's came after it; never
the other way round.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given

from penstock.batches import Book, open_book
from penstock.batches.records import Batch, Hold
from penstock.ledger import LedgerUnavailable
from penstock.ledger.dynamodb import patience, table
from penstock.ledger.dynamodb.keys import ItemKey, shard_key
from penstock.ledger.dynamodb.patience import Patience
from penstock.ledger.dynamodb.table import Table
from tests.contract.book_trial import NUMBERS, BookTrial, Step
from tests.contract.books import batch_of, file_of, full, shards_of
from tests.contract.test_book_properties import VERBS, examples, names, plans
from tests.servers.faults import Fault, Faults

pytestmark = pytest.mark.anyio

BATCH = batch_of()


@pytest.fixture
async def shaken(
    anyio_backend: str, dynamodb_faults: Faults, dynamodb_url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Book]:
    """A book of which a fifth of the requests to DynamoDB fail. It pauses only shortly before it tries again."""
    monkeypatch.setattr(patience, "FIRST_SPAN", 0.002)
    monkeypatch.setattr(patience, "LAST_SPAN", 0.02)
    opened = await open_book(dynamodb_url)
    yield opened
    await opened.close()


@examples(6)
@given(plan=plans)
async def test_the_book_does_what_the_model_does_though_a_fifth_of_all_messages_fail(
    shaken: Book, plan: list[Step]
) -> None:
    await BookTrial(shaken, next(names), lossy=True).run(plan)


async def test_a_book_is_right_after_faults_of_every_kind(shaken: Book, dynamodb_faults: Faults) -> None:
    plan = [Step(verb, number, 0) for verb in dict.fromkeys(VERBS) for number in range(NUMBERS)]
    await BookTrial(shaken, next(names), lossy=True).run(plan)
    assert {fault for _, fault in dynamodb_faults.done} == set(Fault)


async def test_no_two_are_told_that_they_changed_the_same(shaken: Book, dynamodb_faults: Faults) -> None:
    await shaken.add_batch(BATCH)
    told: dict[int, list[Batch]] = {}

    async def change(holder: int) -> None:
        for count in range(10):
            batch = await shaken.batch(BATCH.id)
            assert batch is not None
            taken = replace(batch, hold=Hold(f"{holder}", count))
            if await shaken.change_batch(taken):
                told.setdefault(batch.revision, []).append(taken)

    await asyncio.gather(*map(change, range(8)))
    dynamodb_faults.rate = 0.0
    found = await shaken.batch(BATCH.id)
    assert found is not None
    assert {len(changes) for changes in told.values()} == {1}
    assert found.revision >= len(told) >= 10
    (last,) = told.get(found.revision - 1, [replace(found, revision=found.revision - 1)])
    assert found == replace(last, revision=found.revision)


async def test_a_book_that_answers_nothing_says_so_of_each_call(
    shaken: Book, dynamodb_faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "Patience", partial(Patience, 0.05))
    dynamodb_faults.rate = 1.0
    file, shards = file_of(), shards_of(BATCH, 40)
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: shaken.add_file(file),
        lambda: shaken.file("acme", file.id),
        lambda: shaken.files("acme"),
        lambda: shaken.change_file(file),
        lambda: shaken.remove_file("acme", file.id),
        lambda: shaken.add_batch(BATCH),
        lambda: shaken.batch(BATCH.id),
        lambda: shaken.batches("acme"),
        lambda: shaken.change_batch(BATCH),
        lambda: shaken.change_batch(full(BATCH)),
        shaken.open_batches,
        lambda: shaken.add_shards(shards),
        lambda: shaken.shards(BATCH.id),
        lambda: shaken.shard(BATCH.id, 0),
        lambda: shaken.change_shard(shards[0]),
        lambda: shaken.remove_shards(BATCH.id),
    ]
    for call in calls:
        async with asyncio.timeout(60):
            with pytest.raises(LedgerUnavailable):
                await call()


@pytest.mark.parametrize("ledger_url", ["dynamodb"], indirect=True)
async def test_shards_whose_removal_was_cut_off_are_removed_by_the_next(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = shards_of(BATCH, 40)
    await book.add_shards(shards)
    delete = Table.delete

    async def delete_all_but_one(self: Table, key: ItemKey) -> None:
        if key == shard_key(BATCH.id, 20):
            raise LedgerUnavailable
        await delete(self, key)

    with monkeypatch.context() as patched:
        patched.setattr(Table, "delete", delete_all_but_one)
        with pytest.raises(LedgerUnavailable):
            await book.remove_shards(BATCH.id)
    left = await book.shards(BATCH.id)
    assert shards[20] in left
    assert shards[0] not in left
    await book.remove_shards(BATCH.id)
    assert await book.shards(BATCH.id) == []
