"""A plant for tests: a real book and ledger in SQLite, a folder of objects, and workers that follow a script."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from functions.batch.changes import change_batch
from functions.batch.plant import Plant
from penstock.batches import addresses, open_book
from penstock.batches.records import Batch, Shard, ShardState, Status, new_batch_id
from penstock.clock import now_ms
from penstock.ledger import Account, Key, open_ledger
from penstock.models import read_models
from penstock.objects import open_objects
from penstock.settings import BatchSettings
from tests.integration.batch.scripted_workers import ScriptedWorkers

CHAT = "/v1/chat/completions"
DAY = 86_400_000  # milliseconds

TABLE = """
[models.demo]
source = "somewhere"
context_length = 1024
prices = [{ effective = 2026-01-01, prompt = 0.10, cached_prompt = 0.05, completion = 0.40, batch = 0.5 }]
modal = { max_containers = 2 }

[models.other]
source = "somewhere"
context_length = 1024
prices = [{ effective = 2026-01-01, prompt = 0.10, cached_prompt = 0.05, completion = 0.40, batch = 0.5 }]
modal = { max_containers = 2 }
"""


@dataclass
class Stand:
    """The plant, and what its tests look at and play with."""

    plant: Plant
    workers: ScriptedWorkers

    async def submit(self, lines: int = 6, *, account: str = "acme", content: bytes | None = None, **given: Any) -> str:
        """A batch of so many lines, as the edge makes it; its id."""
        now = now_ms()
        batch_id = new_batch_id(now)
        address = addresses.file_content(account, f"file-of-{batch_id}")
        await self.plant.objects.put(address, input_of(lines) if content is None else content)
        batch = Batch(
            id=batch_id,
            account_id=account,
            key_id=f"{account}_key",
            endpoint=CHAT,
            input_file_id=f"file-of-{batch_id}",
            input_address=address,
            window_s=86_400,
            **{
                "created_at": now,
                "expires_at": now + DAY,
                "output_address": addresses.file_content(account, f"file-out-{batch_id}"),
                "error_address": addresses.file_content(account, f"file-err-{batch_id}"),
                **given,
            },
        )
        assert await self.plant.book.add_batch(batch)
        return batch_id

    async def advance(self, batch_id: str, **how: bool) -> bool:
        """One pass."""
        return await self.plant.batches.advance(batch_id, **how)

    async def finish(self, batch_id: str) -> Batch:
        """Passes until it is closed."""
        for _ in range(50):
            if await self.advance(batch_id):
                return await self.batch(batch_id)
        raise AssertionError(f"not closed: {await self.batch(batch_id)} {await self.shards(batch_id)}")

    async def batch(self, batch_id: str) -> Batch:
        batch = await self.plant.book.batch(batch_id)
        assert batch is not None
        return batch

    async def shards(self, batch_id: str) -> Sequence[Shard]:
        return await self.plant.book.shards(batch_id)

    async def states(self, batch_id: str) -> list[ShardState]:
        return [shard.state for shard in await self.shards(batch_id)]

    async def cancel(self, batch_id: str) -> None:
        """As the edge does it, whose further writes were lost."""
        await change_batch(
            self.plant.book,
            batch_id,
            lambda batch: replace(batch, status=Status.CANCELLING, cancelling_at=now_ms()),
        )

    async def lines(self, address: str) -> list[dict[str, Any]]:
        """The lines of a file; none where there is no such object."""
        if await self.plant.objects.size(address) is None:
            return []
        return [orjson.loads(line) for line in (await self.plant.objects.get(address)).splitlines()]

    async def left(self, batch_id: str) -> list[str]:
        """The objects that are left of its work."""
        return [one.key async for one in self.plant.objects.list(addresses.work(batch_id))]

    async def billed(self) -> tuple[int, int]:
        """Requests and tokens that were billed; and that the ledger adds up."""
        assert (await self.plant.ledger.audit(now_ms())).findings == ()
        return await self.used()

    async def used(self) -> tuple[int, int]:
        """Requests and tokens that were billed."""
        rows = await self.plant.ledger.usage()
        return sum(row.requests for row in rows), sum(row.usage.total_tokens for row in rows)


def input_of(lines: int, model: str = "demo") -> bytes:
    """An input of so many lines."""
    return b"".join(
        orjson.dumps(
            {
                "custom_id": f"line-{number}",
                "method": "POST",
                "url": CHAT,
                "body": {
                    "model": model,
                    "messages": [{"role": "user", "content": f"{number % 7} and {number}"}],
                    "max_tokens": 4,
                },
            }
        )
        + b"\n"
        for number in range(1, lines + 1)
    )


@asynccontextmanager
async def standing(folder: Path, **changes: Any) -> AsyncIterator[Stand]:
    """A stand in the folder; shards have two lines each, and calls are asked about at once."""
    table = folder / "penstock.toml"
    table.write_text(TABLE)
    settings = BatchSettings(
        ledger_url=f"sqlite:///{folder}/ledger.db",
        objects_url=f"file://{folder}/objects",
        config=table,
        **{"shard_lines": 2, **changes},
    )
    async with AsyncExitStack() as opened:
        ledger = await open_ledger(settings.ledger_url)
        opened.push_async_callback(ledger.close)
        book = await open_book(settings.ledger_url)
        opened.push_async_callback(book.close)
        objects = await open_objects(settings.objects_url)
        opened.push_async_callback(objects.close)
        for account in ("acme", "small", "third"):
            if await ledger.account(account) is None:
                await ledger.create_account(Account(account, account, 1))
                await ledger.create_key(Key(f"{account}_key", account, "", "0" * 64, 1))
        workers = ScriptedWorkers(objects, ledger)
        plant = Plant.of(
            settings=settings,
            models=read_models(table),
            ledger=ledger,
            book=book,
            objects=objects,
            workers=workers,
            opened=AsyncExitStack(),
            asked_after=0,
        )
        yield Stand(plant, workers)
