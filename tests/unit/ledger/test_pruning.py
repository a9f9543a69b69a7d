"""The file stays bounded: minutes and idempotency keys that no longer matter are dropped."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from penstock.clock import MINUTE
from penstock.ledger.sqlite import SqliteLedger
from tests.contract.samples import NOW, USAGE, enrol, lease_of, reserved

pytestmark = pytest.mark.anyio


def count(path: Path, table: str) -> int:
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 (a name of ours)


async def test_minutes_of_more_than_an_hour_ago_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ledger = await SqliteLedger.open(path)
    caller = await enrol(ledger)
    for minute in range(100):
        at = NOW + minute * MINUTE
        lease = lease_of(caller, f"req_{minute}", at=at)
        await reserved(ledger, caller, lease)
        await ledger.settle(lease, USAGE, "stop", at)
    assert count(path, "minutes") == 2 * 61  # the account's and the key's
    # A settlement from long ago adds no minute, but it adds to the sums.
    await ledger.settle(lease_of(caller, "old"), USAGE, "stop", NOW + 100 * MINUTE)
    assert count(path, "minutes") == 2 * 60
    (row,) = await ledger.usage()
    assert row.requests == 101
    assert count(path, "leases") == 0
    await ledger.close()


async def test_expired_idempotency_keys_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ledger = await SqliteLedger.open(path)
    for number in range(250):
        await ledger.begin("acme", f"key-{number}", "body", "a", now=NOW, expires_at=NOW + MINUTE)
    assert count(path, "idempotency") == 250
    for number in range(3):  # a bounded number at once
        await ledger.begin("acme", f"later-{number}", "body", "a", now=NOW + MINUTE, expires_at=NOW + 2 * MINUTE)
    assert count(path, "idempotency") == 3
    await ledger.close()
