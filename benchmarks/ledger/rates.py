"""How fast each store is: reservations, settlements and whole lives in a second, beside bare writes.

All clients are in one process, as those of an edge are, and share one connection pool.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from benchmarks.ledger.clients import Client, clients_of_one_account
from benchmarks.ledger.load import Taken
from benchmarks.ledger.stores import Store
from benchmarks.report import Column, Row, Table
from benchmarks.spread import Spread

BARE, RESERVE, SETTLE, LIFE = "a bare write", "reserve", "settle", "reserve, claim, settle"
_ORDER = (BARE, RESERVE, SETTLE, LIFE)
_COLUMNS = (
    Column("what", "clients, accounts: what"),
    Column("per_second", "a second"),
    Column("bare_writes", "= bare writes"),
    Column("p50_ms", "p50 ms"),
    Column("p99_ms", "p99 ms"),
)


@dataclass(frozen=True, slots=True)
class Size:
    """How much is done: each crowd's clients do all of it so often in a round that it comes to `each`."""

    crowds: Sequence[int]
    each: int
    rounds: int


@dataclass(frozen=True, slots=True)
class _Crowd:
    """Clients at once, and how often each of them does its work in a round."""

    title: str
    clients: list[Client]
    times: int


async def measure_rates(store: Store, size: Size) -> Table:
    """The table of one store."""
    crowds = await _crowds(store, size)
    for crowd in crowds:
        await _round(store, replace(crowd, times=1), reverse=False)  # connections, caches and pages are made
    rounds: dict[str, dict[str, list[Taken]]] = defaultdict(lambda: defaultdict(list))
    for number in range(size.rounds):
        reverse = bool(number % 2)
        for crowd in reversed(crowds) if reverse else crowds:
            for what, taken in (await _round(store, crowd, reverse=reverse)).items():
                rounds[crowd.title][what].append(taken)
    rows = [_row(crowd.title, what, rounds[crowd.title]) for crowd in crowds for what in _ORDER]
    return Table(
        f"{store.name}_rates",
        f"{store.name}: {size.rounds} rounds; a bare write is {store.peer}",
        _COLUMNS,
        rows,
        (f"As many leases are live as there are clients. {LIFE}: one after another, of each client.",),
    )


async def _crowds(store: Store, size: Size) -> list[_Crowd]:
    [hot] = await clients_of_one_account(store.ledger, "hot", 1)
    own = [(await clients_of_one_account(store.ledger, f"own-{number}", 1))[0] for number in range(max(size.crowds))]
    crowds = []
    for number in size.crowds:
        times = max(size.each // number, 1)
        crowds.append(_Crowd(f"{number}, one account", [hot] * number, times))
        if number > 1:
            crowds.append(_Crowd(f"{number}, one each", own[:number], times))
    return crowds


async def _round(store: Store, crowd: _Crowd, *, reverse: bool) -> dict[str, Taken]:
    steps = [partial(_bare, store, crowd), partial(_reserve_and_settle, crowd), partial(_live, crowd)]
    taken: dict[str, Taken] = {}
    for step in reversed(steps) if reverse else steps:
        taken |= await step()
    return taken


async def _bare(store: Store, crowd: _Crowd) -> dict[str, Taken]:
    taken = Taken()
    works = [partial(store.write, client.name) for client in crowd.clients]
    for _ in range(crowd.times):
        await taken.add(works)
    return {BARE: taken}


async def _reserve_and_settle(crowd: _Crowd) -> dict[str, Taken]:
    reserved, settled = Taken(), Taken()
    for _ in range(crowd.times):
        leases = await reserved.add([client.reserve for client in crowd.clients])
        pairs = list(zip(crowd.clients, leases, strict=True))
        await asyncio.gather(*(client.claim(lease) for client, lease in pairs))
        works: list[Callable[[], Awaitable[None]]] = [partial(client.settle, lease) for client, lease in pairs]
        await settled.add(works)
    return {RESERVE: reserved, SETTLE: settled}


async def _live(crowd: _Crowd) -> dict[str, Taken]:
    taken = Taken()
    await taken.add([client.live for client in crowd.clients], crowd.times)
    return {LIFE: taken}


def _row(crowd: str, what: str, rounds: dict[str, list[Taken]]) -> Row:
    mine = [taken.per_second for taken in rounds[what]]
    return {
        "what": f"{crowd}: {what}",
        "per_second": Spread.of(mine),
        "bare_writes": Spread.of_ratios([taken.per_second for taken in rounds[BARE]], mine),
        "p50_ms": Spread.of(taken.ms(50) for taken in rounds[what]),
        "p99_ms": Spread.of(taken.ms(99) for taken in rounds[what]),
    }
