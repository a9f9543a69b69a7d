"""Ledger and book in one store: neither stumbles over what the other keeps there."""

import asyncio

import pytest

from penstock.batches import Book
from penstock.ledger import Ledger, Settled
from tests.contract.books import batch_of, file_of, full, shards_of
from tests.contract.samples import DEADLINE, NOW, USAGE, enrol, lease_of, live

pytestmark = pytest.mark.anyio


async def test_the_ledger_adds_up_and_shows_its_own_alone(ledger: Ledger, book: Book) -> None:
    caller = await enrol(ledger)
    lease = await live(ledger, caller, lease_of(caller))
    batch = batch_of()
    await asyncio.gather(
        ledger.settle(lease, USAGE, "stop", NOW),
        book.add_file(file_of()),
        book.add_batch(batch),
        book.add_batch(full(batch_of(1))),
        book.add_shards(shards_of(batch, 3)),
    )
    await live(ledger, caller, lease_of(caller, "req_2"))
    assert len(await ledger.expire(DEADLINE + 1)) == 1
    assert await ledger.settle(lease, USAGE, "stop", NOW) is Settled.REPEATED
    found = await ledger.audit(DEADLINE + 1)
    assert (found.findings, found.accounts, found.records, found.rows) == ((), 1, 1, 1)
    assert await ledger.accounts() == [caller.account]
    assert await ledger.keys() == [caller.key]
    assert len(await ledger.records()) == len(await ledger.usage()) == 1


async def test_the_book_shows_its_own_alone(ledger: Ledger, book: Book) -> None:
    """Also of an account whose name is part of a key of the book's."""
    await book.add_batch(batch_of())
    for name in ("open", "batch", "acme"):
        await enrol(ledger, name=name)
    assert await book.open_batches() == [batch_of().id]
    assert await book.batches("acme") == [batch_of()]
    assert await book.batches("open") == []
    assert await book.files("batch") == []


async def test_a_book_that_is_closed_leaves_the_ledger_open(ledger: Ledger, book: Book) -> None:
    await book.add_file(file_of())
    await book.close()
    caller = await enrol(ledger)
    assert await ledger.caller(caller.key.id) is not None
