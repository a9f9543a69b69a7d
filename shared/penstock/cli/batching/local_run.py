"""One `penstock batch run`, from the input to the files of answers and errors.

The batch, its work and its results are in the run's folder; whatever ends this process, the same command goes on from
there. The ledger, and the key that pays, are those of `penstock serve` in the same data directory, which may run
beside.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import typer

from penstock.batches import Book, open_book
from penstock.batches.records import Batch, Status
from penstock.cli.batch_end import REFUSED, exit_code, say_errors
from penstock.cli.batch_progress import Display, counted
from penstock.cli.batching.bill import Bill
from penstock.cli.batching.delivery import deliver
from penstock.cli.batching.machine import Machine
from penstock.cli.batching.payer import payer
from penstock.cli.batching.run_folder import RunFolder
from penstock.cli.batching.submission import submit
from penstock.cli.data import DataDirectory
from penstock.cli.failure import Failure
from penstock.cli.serving.interrupts import Interrupts
from penstock.cli.serving.log_file import LogFile
from penstock.clock import now_ms
from penstock.ledger import create_ledger
from penstock.models import read_models
from penstock.objects import Objects, ObjectsUnavailable, open_objects
from penstock.prices import dollars
from penstock.schemas.batch import Batch as Told

INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class LocalRun:
    """What is run, who pays, and where the answers go."""

    data: DataDirectory
    folder: RunFolder
    config: Path  # the table of served models
    source: Path
    output: Path
    errors: Path
    workers: int
    key_id: str | None  # None: the first key
    umask: int  # of the answers' files; all others are their owner's alone

    def go(self) -> int:
        """Run it to its end, or until a signal ends it; the exit code. Raises Failure, LedgerUnavailable, OSError."""
        try:
            return asyncio.run(self._go())
        except ObjectsUnavailable as error:
            raise Failure(f"{self.folder.objects}: {error}") from error

    async def _go(self) -> int:
        batch = await self._begun()
        if batch.status.final and not self.folder.objects.exists():
            return self._said_already(batch)
        machine = Machine(self._environment(), LogFile(self.folder.log))
        interrupts = Interrupts(machine.kill)
        await interrupts.unless(self._work(machine, batch.id))
        if interrupts.stopped:
            sys.stderr.write("Stopped. The same command goes on where it was.\n")
            return INTERRUPTED
        return await self._ended(batch.id)

    async def _begun(self) -> Batch:
        """The batch of this run, as it is; made where there is none, or where its answers have gone."""
        batch = await self._kept()
        if batch is not None and (self.folder.objects.exists() or self._delivered(batch)):
            return batch
        self.folder.clear()
        ledger = await create_ledger(self.data.ledger_url)
        try:
            paying = await payer(ledger, self.data, self.key_id)
        finally:
            await ledger.close()
        async with self._book() as book, self._objects() as objects:
            batch = await submit(book, objects, self.source, paying)
        self.folder.keep(batch.id)
        return batch

    async def _kept(self) -> Batch | None:
        batch_id = self.folder.batch_id()
        if batch_id is None:
            return None
        async with self._book() as book:
            return await book.batch(batch_id)

    def _delivered(self, batch: Batch) -> bool:
        return batch.status is Status.COMPLETED and self.output.exists()

    def _said_already(self, batch: Batch) -> int:
        typer.echo(f"{self.output} has the answers already; --again runs it again.")
        return exit_code(batch.status, batch.failed)

    async def _work(self, machine: Machine, batch_id: str) -> None:
        with Display() as display:
            await machine.work(batch_id, self.workers, display.show)

    async def _ended(self, batch_id: str) -> int:
        """Deliver what it came to, and say so; the exit code. Then the run's objects are no longer needed."""
        async with self._book() as book, self._objects() as objects:
            batch = await book.batch(batch_id)
            if batch is None or not batch.status.final:
                raise Failure(f"the batch machine has left off ({self.folder.log}); the same command goes on")
            if batch.status is Status.FAILED:
                return self._refused(batch)
            bill = Bill(read_models(self.config), now_ms())
            os.umask(self.umask)
            await deliver(batch, objects, self.output, self.errors, bill)
        self._say(batch, bill)
        self.folder.clear_objects()
        return exit_code(batch.status, batch.failed)

    def _refused(self, batch: Batch) -> int:
        told = Told.of(batch).errors
        say_errors(told.data if told else [], str(self.source), more=batch.more_errors)
        self.folder.clear()
        return REFUSED

    def _say(self, batch: Batch, bill: Bill) -> None:
        errors = f", {counted(batch.failed, 'error')}" if batch.failed else ""
        missing = batch.lines - batch.completed - batch.failed
        left = f", {missing:,} not run: the batch was {batch.status}" if missing else ""
        typer.echo(f"{counted(batch.lines, 'line')}: {batch.completed:,} answered{errors}{left}")
        typer.echo(
            f"{bill.prompt:,} tokens in ({bill.cached:,} cached), {bill.completion:,} out: ${dollars(bill.nano)}"
        )
        files = (self.output, self.errors) if batch.error_file_id else (self.output,)
        typer.echo(f"in {' and '.join(map(str, files))}")

    def _environment(self) -> dict[str, str]:
        others = {name: value for name, value in os.environ.items() if name != "PENSTOCK_API_KEY"}
        threads = max(1, (os.cpu_count() or 1) // self.workers)
        return {
            "PENSTOCK_THREADS": str(threads),  # each worker's, where the environment does not say
            **others,
            "PENSTOCK_LEDGER_URL": self.data.ledger_url,
            "PENSTOCK_BOOK_URL": self.folder.book_url,
            "PENSTOCK_OBJECTS_URL": self.folder.objects_url,
            "PENSTOCK_CONFIG": str(self.config),
            "PENSTOCK_TICKET_KEYS": self.data.ticket_keys(),
            "PENSTOCK_SPOOL": str(self.data.spool),
        }

    @asynccontextmanager
    async def _book(self) -> AsyncIterator[Book]:
        book = await open_book(self.folder.book_url)
        try:
            yield book
        finally:
            await book.close()

    @asynccontextmanager
    async def _objects(self) -> AsyncIterator[Objects]:
        objects = await open_objects(self.folder.objects_url)
        try:
            yield objects
        finally:
            await objects.close()
