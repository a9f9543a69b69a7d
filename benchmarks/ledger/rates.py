"""How fast each store is: reservations, settlements and whole lives in a second, beside bare writes.

All clients are in one process, as those of an edge are, and share one connection pool. All do the same at
once, and all wait for the last; then comes the next thing's turn, so that what disturbs one disturbs all.
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

BARE, RESERVE, SETTLE, LIFE = "a bare write", "reserve", "settle", "whole life"
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
    """How much is done: each crowd's clients have so many turns in a round that each thing is done `each` times."""

    crowds: Sequence[int]
    each: int
    rounds: int


@dataclass(frozen=True, slots=True)
class _Crowd:
    """Clients at once, and how often they have their turn in a round."""

    title: str
    clients: list[Client]
    turns: int


_Step = Callable[[_Crowd, dict[str, Taken]], Awaitable[None]]


async def measure_rates(store: Store, size: Size) -> Table:
    """The table of one store."""
    crowds = await _crowds(store, size)
    for crowd in crowds:
        await _round(store, replace(crowd, turns=1))  # connections, caches and pages are made
    rounds: dict[str, dict[str, list[Taken]]] = defaultdict(lambda: defaultdict(list))
    for number in range(size.rounds):
        for crowd in reversed(crowds) if number % 2 else crowds:
            for what, taken in (await _round(store, crowd)).items():
                rounds[crowd.title][what].append(taken)
    rows = [_row(crowd.title, what, rounds[crowd.title]) for crowd in crowds for what in _ORDER]
    return Table(
        f"{store.name}_rates",
        f"{store.name}: {size.rounds} rounds; a bare write is {store.peer}",
        _COLUMNS,
        rows,
        ("A whole life: reserve, claim, settle. As many leases are live as there are clients.",),
    )


async def _crowds(store: Store, size: Size) -> list[_Crowd]:
    [hot] = await clients_of_one_account(store.ledger, "hot", 1)
    own = [(await clients_of_one_account(store.ledger, f"own-{number}", 1))[0] for number in range(max(size.crowds))]
    crowds = []
    for number in size.crowds:
        turns = max(size.each // number, 1)
        crowds.append(_Crowd(f"{number}, one account", [hot] * number, turns))
        if number > 1:
            crowds.append(_Crowd(f"{number}, one each", own[:number], turns))
    return crowds


async def _round(store: Store, crowd: _Crowd) -> dict[str, Taken]:
    taken = {what: Taken() for what in _ORDER}
    for turn in range(crowd.turns):
        steps: list[_Step] = [partial(_bare, store), _reserve_and_settle, _live]
        for step in reversed(steps) if turn % 2 else steps:
            await step(crowd, taken)
    return taken


async def _bare(store: Store, crowd: _Crowd, taken: dict[str, Taken]) -> None:
    await taken[BARE].add([partial(store.write, client.name) for client in crowd.clients])


async def _reserve_and_settle(crowd: _Crowd, taken: dict[str, Taken]) -> None:
    leases = await taken[RESERVE].add([client.reserve for client in crowd.clients])
    pairs = list(zip(crowd.clients, leases, strict=True))
    await asyncio.gather(*(client.claim(lease) for client, lease in pairs))
    await taken[SETTLE].add([partial(client.settle, lease) for client, lease in pairs])


async def _live(crowd: _Crowd, taken: dict[str, Taken]) -> None:
    await taken[LIFE].add([client.live for client in crowd.clients])


def _row(crowd: str, what: str, rounds: dict[str, list[Taken]]) -> Row:
    mine = [taken.per_second for taken in rounds[what]]
    return {
        "what": f"{crowd}: {what}",
        "per_second": Spread.of(mine),
        "bare_writes": Spread.of_ratios([taken.per_second for taken in rounds[BARE]], mine),
        "p50_ms": Spread.of(taken.ms(50) for taken in rounds[what]),
        "p99_ms": Spread.of(taken.ms(99) for taken in rounds[what]),
    }
