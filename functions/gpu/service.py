"""The service: the loaded model and everything a request needs, put together at startup.

Taken apart in the order in which nothing is lost: the requests end, then their settlements, then the
engine and the ledger.
"""

import asyncio
import signal
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path

import structlog

from functions.gpu.bookkeeper import Bookkeeper
from functions.gpu.engine import (
    Engine,
    EngineOptions,
    Pooling,
    PrefixCache,
    Quantization,
    load_engine,
    resolve_model,
)
from functions.gpu.gate import Gate
from functions.gpu.spool import Spool
from functions.gpu.tenure import Tenure
from penstock.clock import now_ms
from penstock.errors import Unavailable
from penstock.ledger import Lease, Ledger, LedgerUnavailable, open_ledger
from penstock.models import ConfigError, ServedModel, read_models
from penstock.settings import GpuSettings
from penstock.ticket import TicketKeys

SHUTDOWN_GRACE_S = 10.0  # for running requests, and as much again for their settlements
GIB = 1 << 30

log = structlog.get_logger()


class Service:
    """One process's service of one model."""

    def __init__(
        self, settings: GpuSettings, model: ServedModel, engine: Engine, ledger: Ledger, spool: Spool | None
    ) -> None:
        self.settings = settings
        self.model = model
        self.engine = engine
        self._ledger = ledger
        self.gate = Gate(TicketKeys.parse(settings.ticket_keys.get_secret_value()), model.name)
        self.bookkeeper = Bookkeeper(ledger, spool)
        self._open = True
        self._requests: set[asyncio.Task[object]] = set()
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
        """End the process, as a stop from outside would: whoever supervises it starts another."""
        self._open = False
        log.error("engine_broken")
        signal.raise_signal(signal.SIGTERM)

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

    def tenure(self, lease: Lease) -> Tenure:
        """A hold on the lease, to be entered by the request whose ticket was admitted."""
        return Tenure(lease, self.gate, self._ledger, self.bookkeeper, self.settings)

    async def close(self) -> None:
        """Take no more requests, let the running ones end or end them, settle them, let go of everything."""
        self._open = False
        if self._expiring is not None:
            self._expiring.cancel()
        await self._end_requests()
        await self.bookkeeper.close(SHUTDOWN_GRACE_S)
        await self.engine.close()
        await self._ledger.close()

    async def _end_requests(self) -> None:
        if self._requests:
            await asyncio.wait(self._requests, timeout=SHUTDOWN_GRACE_S)
        for task in self._requests:
            task.cancel()
        if self._requests:
            await asyncio.wait(self._requests, timeout=SHUTDOWN_GRACE_S)

    async def _expire(self) -> None:
        """Close dead leases now and then; whoever runs does it for all, so a failure matters to nobody."""
        while True:
            with suppress(LedgerUnavailable):
                while closed := await self._ledger.expire(now_ms()):
                    log.info("leases_expired", count=len(closed))
            await asyncio.sleep(self.settings.expire_every_s)


async def open_service(settings: GpuSettings, engine: Engine | None, ledger: Ledger | None) -> Service:
    """Load the model and open the ledger, unless they are given, and the spool, if there is one.

    Raises ModelUnreadable, ConfigError, LedgerUnavailable.
    """
    model = read_models(settings.config).get(settings.model)
    if model is None:
        raise ConfigError(f"{settings.config}: no model {settings.model!r}")
    async with AsyncExitStack() as opened:
        books = ledger if ledger is not None else await open_ledger(settings.ledger_url)
        opened.push_async_callback(books.close)
        spool = None
        if settings.spool is not None:
            spool = await Spool.open(settings.spool)
            opened.push_async_callback(spool.close)
        loaded = engine if engine is not None else await asyncio.to_thread(_load, settings, model)
        opened.pop_all()
    return Service(settings, model, loaded, books, spool)


def stopping() -> Unavailable:
    """The refusal of a process that is stopping."""
    return Unavailable("The GPU process is stopping.", code="gpu_stopping")


def _load(settings: GpuSettings, model: ServedModel) -> Engine:
    began = time.perf_counter()
    folder = resolve_model(model.source, model.revision, cache=settings.model_cache, offline=settings.offline)
    resolved = time.perf_counter() - began
    engine = load_engine(_options(folder, settings, model))
    phases = {"source": resolved, **engine.load_seconds}
    log.info("loaded", model=model.name, seconds={name: round(s, 3) for name, s in phases.items()})
    return engine


def _options(folder: Path, settings: GpuSettings, model: ServedModel) -> EngineOptions:
    return EngineOptions(
        folder,
        dtype=model.dtype,
        threads=settings.threads,
        context_length=model.context_length,
        quantization=Quantization(model.quantization),
        pooling=None if model.embeddings is None else Pooling(model.embeddings.pooling),
        queue_limit=settings.max_waiting,
        max_running=settings.max_running,
        step_tokens=settings.step_tokens,
        stretch=settings.stretch,
        kv_bytes=None if settings.kv_gib is None else int(settings.kv_gib * GIB),
        prefix_cache=PrefixCache(settings.prefix_cache),
    )
