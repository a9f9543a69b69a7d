"""One run of `penstock serve`, from the free port to the last process's end."""

import asyncio
import os
from contextlib import suppress
from dataclasses import dataclass

from rich.console import Console

from penstock.cli.data import DataDirectory, write_private
from penstock.cli.serving.checkout import checkout
from penstock.cli.serving.first_key import first_key
from penstock.cli.serving.interrupts import Interrupts
from penstock.cli.serving.keeper import Keeper
from penstock.cli.serving.log_file import LogFile
from penstock.cli.serving.model import Choice, choose, table_of
from penstock.cli.serving.port import Port
from penstock.cli.serving.process import Program, served
from penstock.cli.serving.steps import Steps
from penstock.cli.serving.supervisor import Supervisor
from penstock.cli.serving.welcome import Welcome
from penstock.ledger import Ledger, create_ledger
from penstock.models import read_models

EDGE, GPU, MACHINE = "functions.edge.app:create_app", "functions.gpu.server:create_app", "functions.batch.machine"
GRACE = 5  # seconds that running requests get when serving ends
BATCH_GRACE = 25  # seconds in which the workers of batches write what they have
YIELDING = 10  # of nice(1): batches leave the processors to requests
KILLED = 130  # the exit code after a second Ctrl-C


@dataclass(frozen=True, slots=True)
class Session:
    """What is served, where, and by which ledger."""

    data: DataDirectory
    edge: Port
    gpu: Port
    choice: Choice
    ledger_url: str
    console: Console

    @classmethod
    def prepare(
        cls, data: DataDirectory, host: str, port: int, *, model: str | None, ledger_url: str | None
    ) -> "Session":
        """Everything that can fail before a process is started. Raises Failure, ConfigError."""
        root = checkout()
        edge = Port(host, port)
        edge.listen()
        choice = choose(model, read_models(root / "penstock.toml"))
        os.umask(0o077)  # from here on: the ledger and the logs are their owner's
        write_private(data.model_table, table_of(choice.model))
        # Whatever the edge listens on, the GPU process is reached from this machine alone.
        gpu = Port("127.0.0.1", 0)
        return cls(data, edge, gpu, choice, ledger_url or data.ledger_url, Console(highlight=False))

    def run(self) -> int:
        """Serve until Ctrl-C, SIGTERM or a hang-up; the exit code. Raises Failure, LedgerUnavailable."""
        return asyncio.run(self._run())

    async def _run(self) -> int:
        ledger = await create_ledger(self.ledger_url)
        supervisor = Supervisor(self._programs(), ledger, self._say)
        interrupts = Interrupts(supervisor.kill)
        try:
            await interrupts.unless(self._serve(supervisor, ledger))
        finally:
            if interrupts.stopped:
                self._say("Stopping. Ctrl-C again kills at once.")
            await supervisor.stop()
            await ledger.close()
        return KILLED if interrupts.killed else 0

    async def _serve(self, supervisor: Supervisor, ledger: Ledger) -> None:
        """Start, say what there is, and go on until a process has to be given up: its Failure is raised."""
        supervisor.start()
        failing = asyncio.create_task(supervisor.failure())
        starting = asyncio.create_task(self._start(supervisor.keepers, ledger))
        try:
            await asyncio.wait({failing, starting}, return_when=asyncio.FIRST_COMPLETED)
            if not failing.done():
                await starting
            await failing
        finally:
            failing.cancel()
            starting.cancel()
            await asyncio.gather(failing, starting, return_exceptions=True)

    async def _start(self, keepers: list[Keeper], ledger: Ledger) -> None:
        url = self.edge.url()
        name = self.choice.model.name
        edge, gpu, *_ = keepers
        with Steps(self.console) as steps:
            await asyncio.gather(
                steps.take("Starting the edge", edge.ready.wait(), f"The edge is ready on {url}"),
                steps.take(f"Loading {name}", gpu.ready.wait(), f"The GPU process is ready with {name}"),
            )
        key = await first_key(ledger, self.data)
        Welcome(f"{url}/v1", self.choice, key, self.data, self.ledger_url).show(self.console)

    def _programs(self) -> list[Program]:
        shared = {
            **{name: value for name, value in os.environ.items() if name != "PENSTOCK_API_KEY"},
            "PENSTOCK_LEDGER_URL": self.ledger_url,
            "PENSTOCK_TICKET_KEYS": self.data.ticket_keys(),
            "PENSTOCK_CONFIG": str(self.data.model_table),
        }
        batches = {"PENSTOCK_BOOK_URL": self.data.book_url, "PENSTOCK_OBJECTS_URL": self.data.objects_url}
        spool = {"PENSTOCK_SPOOL": str(self.data.spool)}
        edge = {**shared, **batches, "PENSTOCK_GPU_URL": self.gpu.url()}
        if self.edge.loopback:
            edge["PENSTOCK_GPU_PUBLIC_URL"] = self.gpu.url()  # who reaches the edge reaches it too: direct delivery
        gpu = {**shared, **spool, "PENSTOCK_MODEL": self.choice.model.name}
        batch = {**shared, **batches, **spool}
        return [
            served("edge", EDGE, self.edge, environment=edge, log=self._log("edge"), grace=GRACE),
            served("GPU process", GPU, self.gpu, environment=gpu, log=self._log("gpu"), grace=GRACE),
            Program("batch machine", batch, self._log("batch"), BATCH_GRACE, MACHINE, niceness=YIELDING),
        ]

    def _log(self, process: str) -> LogFile:
        log = LogFile(self.data.log(process))
        log.bound()
        return log

    def _say(self, line: str) -> None:
        with suppress(OSError):  # the terminal is gone; what there is to do is done without it
            self.console.print(line, soft_wrap=True, markup=False)
