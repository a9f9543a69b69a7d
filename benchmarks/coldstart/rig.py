"""What the functions need in order to answer: a table with an account and a key, a stub GPU process, settings."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.edge.rig import provide, rig
from benchmarks.edge.servers import upstream
from benchmarks.ledger.servers import dynamodb, led_to
from penstock.ledger import create_ledger
from tests.servers.environment import environment

_TABLE = "penstock-coldstart"


@dataclass(frozen=True, slots=True)
class Bench:
    """A folder for the packages, the API key that the edge knows, and the environment of every function."""

    directory: Path
    api_key: str
    environment: Mapping[str, str]


@contextmanager
def bench() -> Iterator[Bench]:
    """All of it, while it runs. The folder is removed at the end. Raises BenchmarkFailed."""
    with rig() as edge, upstream(edge) as stub, dynamodb(edge.directory) as url, led_to(url):
        api_key = asyncio.run(_table())
        settings = {name: value for name, value in edge.environment(stub.url).items() if name.startswith("PENSTOCK_")}
        settings["PENSTOCK_LEDGER_URL"] = f"dynamodb://{_TABLE}"
        settings["PENSTOCK_OBJECTS_URL"] = f"s3://{_TABLE}"  # opened, and not asked: nothing is under way
        yield Bench(edge.directory, api_key, {**environment(url), **settings, "TABLE": _TABLE})


async def _table() -> str:
    """Makes the table, and in it an account and a key; the API key."""
    ledger = await create_ledger(f"dynamodb://{_TABLE}")
    try:
        return await provide(ledger)
    finally:
        await ledger.close()
