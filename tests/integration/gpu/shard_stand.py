"""A worker on a test stand: the real app and ledger, a folder for objects, an engine of the test's."""

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from functions.gpu.engine import Engine
from functions.gpu.process import Process
from functions.gpu.server import app_of
from functions.gpu.shards.history import History, plus
from functions.gpu.worker import Worker
from penstock.batches.addresses import shard_done, shard_input, stop
from penstock.batches.log import Entry, Result, entries, results
from penstock.batches.orders import Order, Outcome
from penstock.clock import MINUTE, now_ms
from penstock.ledger import Account, Key, Ledger, Limits, Usage, open_ledger
from penstock.objects import Objects, open_objects
from penstock.settings import GpuSettings
from tests.integration.gpu.stand import CONFIG, SINCE, TICKET_KEYS, chat, route_of

BATCH = "batch_1"


@dataclass
class ShardStand:
    """A worker, and what it works with."""

    worker: Worker
    process: Process
    ledger: Ledger
    objects: Objects

    async def give(self, requests: Sequence[dict[str, Any]], *, shard: int = 0, **changes: Any) -> dict[str, Any]:
        """An order for a shard of these requests."""
        await put_shard(self.objects, requests, shard)
        return order(shard=shard, **changes)

    async def log(self, shard: int = 0) -> list[Entry]:
        """All entries of the shard's log."""
        return [entry async for entry in entries(self.objects, BATCH, shard)]

    async def results(self, shard: int = 0) -> dict[int, Result]:
        """What its lines came to, by their numbers."""
        return results(await self.log(shard))

    async def mark(self, shard: int = 0) -> Outcome:
        """What the mark says that the shard came to."""
        return Outcome.read(orjson.loads(await self.objects.get(shard_done(BATCH, shard))))

    async def stop(self) -> None:
        """Have the batch stopped."""
        await self.objects.put(stop(BATCH), b"{}")

    async def agreed(self, *shards: int) -> Usage:
        """The usage of all lines that were answered; the test fails where the books say anything else."""
        return await agreed(self.ledger, self.objects, *shards or (0,))


def order(**changes: Any) -> dict[str, Any]:
    """An order for a shard of the batch."""
    return {
        **Order(BATCH, 0, "demo", "acme", "key_1", now_ms() + 60 * MINUTE).written(),
        **changes,
    }


def number_of(place: int, shard: int = 0) -> int:
    """The number, in the batch's input, of the line at this place of its shard."""
    return 5 + 3 * place + 10_000 * shard


async def put_shard(objects: Objects, requests: Iterable[dict[str, Any]], shard: int = 0) -> None:
    """Write the shard's lines, as whoever cuts the batch does."""
    lines = [
        {"line": number_of(place, shard), "custom_id": f"line-{place}", "url": route_of(request), "body": request}
        for place, request in enumerate(requests)
    ]
    await objects.put(shard_input(BATCH, shard), b"\n".join(map(orjson.dumps, lines)))


async def agreed(ledger: Ledger, objects: Objects, *shards: int) -> Usage:
    """The usage of all lines that were answered, which is in their bodies, in the log and in the ledger."""
    history, of_bodies, answered = History(), Usage(), 0
    for shard in shards:
        log = [entry async for entry in entries(objects, BATCH, shard)]
        for entry in log:
            history.add(entry)
        for result in results(log).values():
            if result.status == 200:
                of_bodies, answered = plus(of_bodies, usage_of(orjson.loads(result.body))), answered + 1
    rows = await ledger.usage()
    of_ledger = Usage()
    for row in rows:
        of_ledger = plus(of_ledger, row.usage)
    assert history.usage == of_bodies == of_ledger
    assert history.completed == sum(row.requests for row in rows) == answered
    assert (await ledger.audit(now_ms())).findings == ()
    return of_ledger


def usage_of(body: dict[str, Any]) -> Usage:
    """What a body says was used."""
    told = body["usage"]
    cached = (told.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
    return Usage(told["prompt_tokens"], cached, told.get("completion_tokens", 0))


@asynccontextmanager
async def shard_stand(
    folder: Path,
    engine: Engine,
    *,
    limits: Limits | None = None,
    ledger: Ledger | None = None,
    objects: Objects | None = None,
    **settings: Any,
) -> AsyncIterator[ShardStand]:
    """A worker for as long as the block runs. It may be given stores that are not as good as the real ones."""
    url = f"sqlite:///{folder / 'ledger.db'}"
    books = await open_ledger(url)
    if await books.account("acme") is None:
        await books.create_account(Account("acme", "Acme", SINCE, limits=limits or Limits()))
        await books.create_key(Key("key_1", "acme", "laptop", "0" * 64, SINCE))
    parts = GpuSettings(ledger_url=url, ticket_keys=TICKET_KEYS, config=CONFIG, model="demo", **settings)
    process = Process(parts, engine, ledger or await open_ledger(url))
    assert await process.start()
    shelf = await open_objects(f"file://{folder / 'objects'}")
    worker = Worker(app_of(process), process, objects or await open_objects(f"file://{folder / 'objects'}"))
    try:
        yield ShardStand(worker, process, books, shelf)
    finally:
        await worker.close()
        await process.stop()
        await shelf.close()
        await books.close()


def statuses(found: dict[int, Result]) -> Counter[int]:
    """How many lines came to which status."""
    return Counter(result.status for result in found.values())


def chats(count: int, **parameters: Any) -> list[dict[str, Any]]:
    """So many requests, each with a text of its own."""
    return [chat(f"number {number}", **parameters) for number in range(count)]
