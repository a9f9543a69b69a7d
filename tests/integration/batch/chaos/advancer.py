"""A process that advances one batch, as the functions on Lambda do: `python -m tests.integration.batch.chaos.advancer`.

Every event reaches it twice, at the same time, and so does every message that starts a shard; and there may be several
such processes. It fails and dies as CHAOS says (see `orders`). With the batch closed it ends, and with its standard
input.
"""

import asyncio
import os
import sys
from collections.abc import Sequence

import structlog

from functions.batch import held, plant, running
from functions.batch.dispatch import Directly, Dispatch
from functions.batch.plant import Plant
from functions.batch.starting import Starter
from functions.batch.tether import end_with
from penstock.batches import open_book
from penstock.batches.records import Batch, Shard
from penstock.clock import SECOND
from penstock.ledger import LedgerUnavailable, open_ledger
from penstock.logs import configure_logs
from penstock.objects import ObjectsUnavailable, open_objects
from penstock.settings import BatchSettings, read_settings
from tests.integration.batch.chaos.orders import Advance
from tests.integration.batch.chaos.platform import CalledWorkers
from tests.integration.batch.chaos.trouble import Trouble
from tests.integration.batch.chaos.unsteady import unsteady_book, unsteady_ledger, unsteady_objects

PAUSE_S = 0.2

log = structlog.get_logger()


class Twice:
    """Delivers every message twice."""

    def __init__(self, starter: Starter) -> None:
        self._directly: Dispatch = Directly(starter)

    async def send(self, batch: Batch, shards: Sequence[Shard]) -> None:
        """Send each shard twice, at the same time."""
        await asyncio.gather(self._directly.send(batch, shards), self._directly.send(batch, shards))


async def main(orders: Advance) -> None:
    """Advance the batch until it is closed."""
    trouble = Trouble(orders.seed, orders.rate, orders.lives, orders.deaths)
    make_unsteady(trouble)
    hurry()
    workers = CalledWorkers(orders.platform, trouble)
    opened = await Plant.open(read_settings(BatchSettings), workers, dispatch=Twice, asked_after=0)
    while not await advance_twice(opened, orders.batch_id):
        await asyncio.sleep(PAUSE_S)
    await opened.close()


def make_unsteady(trouble: Trouble) -> None:
    """From here on the plant's stores are in trouble."""

    async def ledger_of(url: str) -> object:
        return unsteady_ledger(await open_ledger(url), trouble)

    async def book_of(url: str) -> object:
        return unsteady_book(await open_book(url), trouble)

    async def objects_of(url: str) -> object:
        return unsteady_objects(await open_objects(url), trouble)

    vars(plant).update(open_ledger=ledger_of, open_book=book_of, open_objects=objects_of)


def hurry() -> None:
    """What takes minutes takes seconds here: a death costs a hold, and a lost message."""
    vars(held).update(HOLD_S=3, RENEW_S=0.5)
    vars(running).update(SENT_FOR=3 * SECOND, FIRST_PAUSE=SECOND // 4, MOST_DOUBLINGS=2)


async def advance_twice(opened: Plant, batch_id: str) -> bool:
    """Deliver an event twice; whether the batch is closed."""
    advance = opened.batches.advance
    closed = False
    for outcome in await asyncio.gather(advance(batch_id), advance(batch_id), return_exceptions=True):
        if isinstance(outcome, LedgerUnavailable | ObjectsUnavailable):
            log.info("not_advanced", reason=str(outcome))
        elif isinstance(outcome, BaseException):
            raise outcome
        else:
            closed = closed or outcome
    return closed


if __name__ == "__main__":
    end_with(0)
    configure_logs("batch", "info", to=sys.stderr)
    asyncio.run(main(Advance.read(os.environ["CHAOS"])))
