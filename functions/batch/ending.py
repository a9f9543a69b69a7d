"""The end of a batch: its results are joined, its files are made known, who asked is told, its work is removed.

Each step is stored before the next begins, and is the same whenever it is taken again. Work is removed before anybody
is told, so that an endpoint which is away for days costs no storage.
"""

from dataclasses import replace
from hashlib import sha256

import structlog

from functions.batch.changes import change_batch
from functions.batch.cleaning import clean
from functions.batch.held import Held
from functions.batch.joining import Joined, join
from functions.batch.notification import Notices, NotTold, event_of
from penstock.batches import addresses
from penstock.batches.protocol import Book
from penstock.batches.records import Batch, File, Purpose, Status, derived_id
from penstock.clock import MINUTE, SECOND, now_ms
from penstock.ledger import Ledger
from penstock.objects import Objects
from penstock.schemas import batch as wire

DAY = 24 * 60 * MINUTE
KEPT = 30 * DAY  # outputs, as OpenAI's, where the batch does not say
GIVE_UP = 3 * DAY  # after which nobody is told any more
SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 15.0, 3_600.0  # between two tries of telling

OUTPUT, DOCUMENT = ".output.jsonl", ".batch.json"

log = structlog.get_logger()


class Ending:
    """Ends batches."""

    def __init__(self, book: Book, objects: Objects, ledger: Ledger, notices: Notices) -> None:
        self._book = book
        self._objects = objects
        self._ledger = ledger
        self._notices = notices

    async def join(self, batch: Batch) -> bool:
        """Join the results of a batch that is finalizing; False where another does. Raises HoldLost."""
        held = await Held.take(self._book, batch)
        if held is None:
            return False
        joined = await held.run(self._joined(held.batch))
        ended = await held.finish(lambda found: _ended(found, joined))
        log.info("batch_ended", batch=batch.id, status=ended.status.value, completed=ended.completed, lines=ended.lines)
        return True

    async def close(self, batch: Batch) -> bool:
        """Remove the work of a batch that has ended, and tell of it; whether that is done. Raises HoldLost."""
        held = await Held.take(self._book, batch)
        if held is None:
            return False
        await held.run(self._removed(held.batch))
        if not await self._told(held):
            return False
        await held.finish(lambda found: replace(found, told=True))
        return True

    # -- joining ----------------------------------------------------------------------------------

    async def _joined(self, batch: Batch) -> Joined:
        joined = await join(batch, await self._book.shards(batch.id), self._objects, self._ledger)
        for file in (output_file(batch, joined), error_file(batch, joined)):
            if file is not None:
                await self._book.add_file(file)
        return joined

    # -- closing ----------------------------------------------------------------------------------

    async def _removed(self, batch: Batch) -> None:
        if batch.output_address.startswith(addresses.RESULTS):
            document = wire.Batch.of(batch).model_dump_json().encode()
            await self._objects.put(batch.output_address.removesuffix(OUTPUT) + DOCUMENT, document)
        await clean(batch.id, self._objects)
        await self._book.remove_shards(batch.id)

    async def _told(self, held: Held) -> bool:
        """Tell whoever is to be told; whether nothing is left to try. If something is, it is left for a while."""
        untold = await held.run(self._tell(held.batch))
        if not untold:
            return True
        since = now_ms() - (held.batch.ended_at or 0)
        if since > GIVE_UP:
            log.error("telling_given_up", batch=held.batch.id, reason=untold)
            return True
        log.warning("not_told", batch=held.batch.id, reason=untold)
        await held.let_go(again_in_s=min(max(since / SECOND / 4, SHORTEST_PAUSE_S), LONGEST_PAUSE_S))
        return False

    async def _tell(self, batch: Batch) -> str | None:
        """Tell topic and webhook, neither of which waits for the other; why one of them was not told."""
        event, untold = event_of(batch), None
        if self._notices.topic is not None and not batch.topic_told:
            try:
                await self._notices.topic.tell(event)
                await change_batch(self._book, batch.id, lambda found: replace(found, topic_told=True))
            except NotTold as error:
                untold = str(error)
        if self._notices.webhook is not None:
            try:
                await self._notices.webhook.tell(event)
            except NotTold as error:
                untold = str(error)
        return untold


def output_file(batch: Batch, joined: Joined) -> File | None:
    """The record of the answers; None where there is none."""
    return _file(batch, batch.output_address, "output", joined.output_size)


def error_file(batch: Batch, joined: Joined) -> File | None:
    """The record of what was refused, failed or not run; None where there is nothing of that."""
    return _file(batch, batch.error_address, "errors", joined.error_size)


def _file(batch: Batch, address: str, kind: str, size: int) -> File | None:
    if not size:
        return None
    made = batch.finalizing_at or batch.created_at
    life = KEPT if batch.output_life_s is None else batch.output_life_s * SECOND
    return File(
        id=_file_id(batch, address, kind),
        account_id=batch.account_id,
        purpose=Purpose.BATCH_OUTPUT,
        filename=f"{batch.id}_{kind}.jsonl",
        size=size,
        address=address,
        created_at=made,
        expires_at=made + life,
    )


def _file_id(batch: Batch, address: str, kind: str) -> str:
    """The last part of the address, where that is an id; the same each time in any case."""
    name = address.rsplit("/", 1)[-1]
    if address == addresses.file_content(batch.account_id, name):
        return name
    return derived_id("file-", batch.created_at, sha256(f"{batch.id}/{kind}".encode()).digest())


def _ended(batch: Batch, joined: Joined) -> Batch:
    output, errors = output_file(batch, joined), error_file(batch, joined)
    return replace(
        batch,
        status=_status(batch, joined),
        ended_at=now_ms(),
        completed=joined.completed,
        failed=joined.failed,
        usage=joined.usage,
        output_file_id=None if output is None else output.id,
        error_file_id=None if errors is None else errors.id,
    )


def _status(batch: Batch, joined: Joined) -> Status:
    """What it came to: its time may be over, or it may be cancelled, when all its lines are done none the less."""
    if batch.cancelling_at is not None:
        return Status.CANCELLED
    over = (batch.finalizing_at or 0) >= batch.expires_at
    return Status.EXPIRED if over and joined.missing else Status.COMPLETED
