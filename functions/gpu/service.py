"""The service: the loaded model and everything a request needs, put together at startup.

Taken apart in the order in which nothing is lost: the requests end, then their settlements, then the
engine and the ledger.
"""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress

import structlog

from functions.gpu.bookkeeper import Bookkeeper
from functions.gpu.cold_start import ColdStart
from functions.gpu.engine import Engine, load_engine
from functions.gpu.engine_options import engine_options
from functions.gpu.gate import Gate
from functions.gpu.line_tenure import LineTenure
from functions.gpu.spool import Spool
from functions.gpu.tenure import Tenure
from penstock.clock import SECOND, now_ms
from penstock.errors import Unavailable
from penstock.ledger import Lease, Ledger, LedgerUnavailable, open_ledger
from penstock.models import ConfigError, ServedModel, read_models
from penstock.settings import GpuSettings
from penstock.ticket import Ticket, TicketKeys, hash_body

SETTLE_WITHIN_S = 10.0  # what was ended, and then what has to be booked

log = structlog.get_logger()


class Service:
    """One process's service of one model."""

    def __init__(
        self,
        settings: GpuSettings,
        model: ServedModel,
        *,
        engine: Engine,
        ledger: Ledger,
        spool: Spool | None,
        cold_start: ColdStart,
        on_broken: Callable[[], None],
    ) -> None:
        self.settings = settings
        self.model = model
        self.engine = engine
        self.ledger = ledger
        self.cold_start = cold_start
        self._on_broken = on_broken
        self._keys = TicketKeys.parse(settings.ticket_keys.get_secret_value())
        self.gate = Gate(self._keys, model.name)
        self.bookkeeper = Bookkeeper(ledger, spool)
        self._open = True
        self._requests: set[asyncio.Task[object]] = set()
        self._lines: dict[str, LineTenure] = {}  # of batches, by the lines' ids
        self._expiring = asyncio.create_task(self._expire()) if settings.expire_every_s else None

    def check(self) -> None:
        """Raises Unavailable where no request is taken."""
        if not self._open:
            raise stopping()
        if not self.engine.alive:
            self._replace()
            raise Unavailable("The model has broken down; its process is being replaced.", code="gpu_stopping")
        # Beside those that run and those that wait for the engine there are bodies that arrive and prompts
        # that are tokenized: as many as may wait.
        if self.serving >= self.settings.max_running + 2 * self.settings.max_waiting:
            raise Unavailable("As many requests are being served as may.", code="queue_full")
        if self.bookkeeper.full:
            raise Unavailable("Too many settlements wait for the ledger.", code="ledger_unavailable")

    def _replace(self) -> None:
        """Have this process replaced by another."""
        self._open = False
        log.error("engine_broken")
        self._on_broken()

    @property
    def working(self) -> bool:
        """Whether this process will still answer anything: it is not stopping, and its engine has not broken down."""
        return self._open and self.engine.alive

    @property
    def serving(self) -> int:
        """How many requests are being served."""
        return len(self._requests)

    @contextmanager
    def request(self) -> Iterator[None]:
        """The current task serves a request, and is waited for at the end. Raises Unavailable."""
        self.check()
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 (a request runs in a task)
        self._requests.add(task)
        try:
            yield
        finally:
            self._requests.discard(task)

    def tenure(self, lease: Lease) -> Tenure | LineTenure:
        """A hold on the lease, to be entered by the request whose ticket was admitted."""
        line = self._lines.get(lease.id)
        return line or Tenure(lease, self.gate, self.ledger, self.bookkeeper, self.settings)

    @contextmanager
    def line(self, lease: Lease) -> Iterator[LineTenure]:
        """Within it the request of this lease is a line of a batch, whose slice has set the lease's bound aside."""
        tenure = self._lines[lease.id] = LineTenure(lease, self.gate)
        try:
            yield tenure
        finally:
            del self._lines[lease.id]

    def ticket(self, lease: Lease, body: bytes) -> str:
        """A ticket for who asks without the edge: in this process, with this body."""
        expires_at = now_ms() + self.settings.startup_budget_s * SECOND
        return self._keys.sign(Ticket(lease=lease, body_hash=hash_body(body), expires_at=expires_at))

    async def close(self) -> None:
        """Take no more requests, let the running ones end or end them, settle them, let go of everything."""
        self._open = False
        if self._expiring is not None:
            self._expiring.cancel()
        await self._end_requests()
        await self.bookkeeper.close(SETTLE_WITHIN_S)
        await self.engine.close()
        await self.ledger.close()

    async def _end_requests(self) -> None:
        if self._requests:
            await asyncio.wait(self._requests, timeout=self.settings.shutdown_grace_s)
        for task in self._requests:
            task.cancel()
        if self._requests:
            await asyncio.wait(self._requests, timeout=SETTLE_WITHIN_S)

    async def _expire(self) -> None:
        """Close dead leases now and then; whoever runs does it for all, so a failure matters to nobody."""
        while True:
            with suppress(LedgerUnavailable):
                while closed := await self.ledger.expire(now_ms()):
                    log.info("leases_expired", count=len(closed))
            await asyncio.sleep(self.settings.expire_every_s)


async def open_service(
    settings: GpuSettings,
    engine: Engine | None,
    ledger: Ledger | None,
    cold_start: ColdStart,
    on_broken: Callable[[], None],
) -> Service:
    """Load the model and open the ledger, unless they are given, and the spool, if there is one.

    `on_broken` has the process replaced, once its engine works no more. Raises ModelUnreadable, ConfigError,
    LedgerUnavailable.
    """
    model = read_models(settings.config).get(settings.model)
    if model is None:
        raise ConfigError(f"{settings.config}: no model {settings.model!r}")
    async with AsyncExitStack() as opened:
        with cold_start.phase("open"):
            books = ledger if ledger is not None else await open_ledger(settings.ledger_url)
            opened.push_async_callback(books.close)
            spool = None
            if settings.spool is not None:
                spool = await Spool.open(settings.spool)
                opened.push_async_callback(spool.close)
        loaded = engine if engine is not None else await asyncio.to_thread(_load, settings, model, cold_start)
        opened.pop_all()
    return Service(
        settings, model, engine=loaded, ledger=books, spool=spool, cold_start=cold_start, on_broken=on_broken
    )


def end_process() -> None:
    """A stop from outside, as it were: whoever supervises the process starts another."""
    signal.raise_signal(signal.SIGTERM)


def stopping() -> Unavailable:
    """The refusal of a process that is stopping."""
    return Unavailable("The GPU process is stopping.", code="gpu_stopping")


def _load(settings: GpuSettings, model: ServedModel, cold_start: ColdStart) -> Engine:
    with cold_start.phase("load"):
        options = engine_options(settings, model)
    engine = load_engine(options)
    cold_start.engine(engine.load_seconds)
    return engine
