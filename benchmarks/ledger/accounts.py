"""An account as it grows: the size of its item, and what each write of it takes, at so many keys and live leases.

The items are those that the ledger itself makes, with every count that is kept: each key has usage of this
month and of the last, and of each of the last three minutes, over which the live leases are spread as well.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.failure import BenchmarkFailed
from benchmarks.ledger.clients import Client, clients_of_one_account
from benchmarks.ledger.counts import ANSWER
from benchmarks.ledger.item_size import item_bytes
from penstock.clock import MINUTE, day_of, now_ms
from penstock.ledger import Ledger
from penstock.ledger.dynamodb.keys import ItemKey, account_key, answer_key, body_key, key_key, request_key, sum_key
from penstock.ledger.dynamodb.table import Table
from penstock.ledger.dynamodb.values import item_to_wire

_DAY = 24 * 60 * MINUTE
_MINUTES = 3  # of which counts are kept
_ATTEMPT = "0" * 16
_TIMED = 15  # reservations, for the time of one


@dataclass(frozen=True, slots=True)
class AccountItem:
    """An account's item: its bytes, the emulator's count of units of a write, and CPU seconds of a reservation."""

    keys: int
    live: int
    size: int
    emulator_units: int
    cpu_s: float


@dataclass(frozen=True, slots=True)
class ItemSizes:
    """The bytes of the other items that a request writes or reads."""

    key: int
    record: int
    total: int
    entry: int  # of an Idempotency-Key
    body: int  # of the answer beside it


async def measure_accounts(ledger: Ledger, table: Table, keys: Sequence[int], live: Sequence[int]) -> list[AccountItem]:
    """One account for each number of keys, measured at each number of live leases (which are in order)."""
    return [item for number in keys for item in await _grown(ledger, table, number, live)]


async def measure_items(ledger: Ledger, table: Table) -> ItemSizes:
    """The items of one request."""
    [client] = await clients_of_one_account(ledger, _account_id(0), 1)
    lease = await client.reserve()
    await client.claim(lease)
    await client.settle(lease)
    now = now_ms()
    await ledger.begin(client.name, "key", "0" * 64, _ATTEMPT, now=now, expires_at=now + _DAY)
    await ledger.remember(client.name, "key", _ATTEMPT, ANSWER, now + _DAY)
    return ItemSizes(
        key=await _size(table, key_key(client.caller.key.id)),
        record=await _size(table, request_key(lease.id)),
        total=await _size(table, sum_key(lease)),
        entry=await _size(table, answer_key(client.name, "key")),
        body=await _size(table, body_key(client.name, "key", _ATTEMPT)),
    )


async def _grown(ledger: Ledger, table: Table, keys: int, live: Sequence[int]) -> list[AccountItem]:
    clients, now = await clients_of_one_account(ledger, _account_id(keys), keys), now_ms()
    await _with_usage(clients, now)
    items, leases = [], 0
    for number in live:
        for place in range(leases, number):
            await clients[place % keys].reserve(now - place % _MINUTES * MINUTE)
        leases = number
        items.append(await _measured(clients, table, leases, now))
    return items


async def _with_usage(clients: Sequence[Client], now: int) -> None:
    last_month = now - int(day_of(now)[8:]) * _DAY
    for at in (last_month, *(now - minute * MINUTE for minute in reversed(range(_MINUTES)))):
        for client in clients:
            await client.settle(await client.reserve(at))


async def _measured(clients: Sequence[Client], table: Table, live: int, now: int) -> AccountItem:
    name = clients[0].name
    cpu_s = [await _reservation(clients[place % len(clients)], now) for place in range(_TIMED)]
    item = await table.get(account_key(name))
    if item is None or len(item["live"]) != live:
        raise BenchmarkFailed(f"the account {name} has not {live} live leases")
    return AccountItem(len(clients), live, item_bytes(item), await _emulator_units(table, name), median(cpu_s))


async def _reservation(client: Client, now: int) -> float:
    """CPU time of this process, which alone is the client; then the lease is given back."""
    begun = time.process_time()
    lease = await client.reserve(now)
    taken = time.process_time() - begun
    await client.ledger.release(lease, now)
    return taken


async def _emulator_units(table: Table, name: str) -> int:
    """What the server says of a write which leaves the item as it is."""
    answer = await table.client.update_item(
        TableName=table.name,
        Key=item_to_wire(account_key(name)),
        UpdateExpression="SET revision = revision",
        ReturnConsumedCapacity="TOTAL",
    )
    units: float = answer["ConsumedCapacity"]["CapacityUnits"]
    return round(units)


async def _size(table: Table, key: ItemKey) -> int:
    item = await table.get(key)
    if item is None:
        raise BenchmarkFailed(f"there is no item {key}")
    return item_bytes(item)


def _account_id(keys: int) -> str:
    return f"acme-{keys:03d}"
