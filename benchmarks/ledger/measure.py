"""The whole benchmark: rates of each store, then requests, sizes and costs of DynamoDB's; one after the other."""

import asyncio
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.ledger import stores
from benchmarks.ledger.accounts import measure_accounts, measure_items
from benchmarks.ledger.counts import measure_counts
from benchmarks.ledger.rates import Size, measure_rates
from benchmarks.ledger.servers import dynamodb, led_to
from benchmarks.ledger.sizes import account_table, cost_table, item_table, rate_table
from benchmarks.report import Report, Table
from penstock.ledger import create_ledger
from penstock.ledger.dynamodb.table import Table as Items


@dataclass(frozen=True, slots=True)
class _Plan:
    rates: Size
    keys: Sequence[int]
    live: Sequence[int]


_FULL = _Plan(Size(crowds=(1, 16, 64), each=128, rounds=3), keys=(1, 100), live=(1, 100, 1_000))
_QUICK = _Plan(Size(crowds=(1, 4), each=4, rounds=1), keys=(1, 3), live=(1, 5, 10))


def measure(quick: bool, say: Callable[[str], None]) -> Report:
    """Measure the ledger. `say` is told what goes on. Raises BenchmarkFailed."""
    plan, begun = _QUICK if quick else _FULL, time.monotonic()
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as name:
        directory = Path(name)
        say("sqlite ...")
        tables = [asyncio.run(_sqlite(directory, plan))]
        with dynamodb(directory) as server, led_to(server):
            say("dynamodb, on an emulator ...")
            tables.append(asyncio.run(_dynamodb(plan)))
            say("requests ...")
            tables.append(asyncio.run(measure_counts(server)))
            say("sizes ...")
            tables += asyncio.run(_sizes(plan))
    return Report("ledger", quick, tables, time.monotonic() - begun)


async def _sqlite(directory: Path, plan: _Plan) -> Table:
    async with stores.sqlite(directory) as store:
        return await measure_rates(store, plan.rates)


async def _dynamodb(plan: _Plan) -> Table:
    async with stores.dynamodb() as store:
        return await measure_rates(store, plan.rates)


async def _sizes(plan: _Plan) -> list[Table]:
    name = f"{stores.TABLE}-sizes"
    ledger = await create_ledger(f"dynamodb://{name}")
    table = await Items.connect(name)
    try:
        items = await measure_items(ledger, table)
        accounts = await measure_accounts(ledger, table, plan.keys, plan.live)
    finally:
        await table.close()
        await ledger.close()
    return [
        account_table(accounts),
        item_table(items),
        cost_table(accounts, items),
        rate_table(accounts, items),
    ]
