"""The plant: everything that batches are worked with, opened once and kept. Used from one event loop."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from functions.batch.advance import Batches
from functions.batch.dispatch import Directly, Dispatch, Dispatcher
from functions.batch.ending import Ending
from functions.batch.notification import Notices
from functions.batch.running import ASKED_AFTER, Running
from functions.batch.starting import Starter
from functions.batch.validating import Validating
from functions.batch.workers import Workers
from penstock.batches import open_book
from penstock.batches.protocol import Book
from penstock.ledger import Ledger, open_ledger
from penstock.models import ModelTable, read_models
from penstock.objects import Objects, open_objects
from penstock.settings import BatchSettings


@dataclass(frozen=True, slots=True)
class Plant:
    """The stores, the workers, and what is done with them."""

    settings: BatchSettings
    models: ModelTable
    ledger: Ledger
    book: Book
    objects: Objects
    batches: Batches
    starter: Starter
    _opened: AsyncExitStack

    @classmethod
    async def open(
        cls,
        settings: BatchSettings,
        workers: Workers,
        *,
        dispatch: Callable[[Starter], Dispatch] = Directly,
        asked_after: int = ASKED_AFTER,
    ) -> "Plant":
        """Open what the settings name; the workers are closed with it.

        Raises ConfigError, LedgerUnavailable or ObjectsUnavailable.
        """
        models = read_models(settings.config)
        async with AsyncExitStack() as opening:
            opening.push_async_callback(workers.close)
            ledger = await open_ledger(settings.ledger_url)
            opening.push_async_callback(ledger.close)
            book = await open_book(settings.book_url or settings.ledger_url)
            opening.push_async_callback(book.close)
            objects = await open_objects(settings.objects_url)
            opening.push_async_callback(objects.close)
            return cls.of(
                settings=settings,
                models=models,
                ledger=ledger,
                book=book,
                objects=objects,
                workers=workers,
                opened=opening.pop_all(),
                dispatch=dispatch,
                asked_after=asked_after,
            )

    @classmethod
    def of(
        cls,
        *,
        settings: BatchSettings,
        models: ModelTable,
        ledger: Ledger,
        book: Book,
        objects: Objects,
        workers: Workers,
        opened: AsyncExitStack,
        dispatch: Callable[[Starter], Dispatch] = Directly,
        asked_after: int = ASKED_AFTER,
    ) -> "Plant":
        """Of what is open; closing it closes `opened`."""
        starter = Starter(book, workers)
        batches = Batches(
            book,
            objects,
            validating=Validating(book, objects, ledger, models, settings),
            running=Running(book, objects, workers, settings.shard_attempts, asked_after=asked_after),
            ending=Ending(book, objects, ledger, Notices.of(settings)),
            dispatcher=Dispatcher(
                book,
                dispatch(starter),
                models,
                workers=workers,
                at_once=settings.shards_at_once,
                of_account=settings.shards_of_account,
            ),
        )
        return cls(settings, models, ledger, book, objects, batches, starter, opened)

    async def close(self) -> None:
        """Let go of all of it."""
        await self._opened.aclose()
