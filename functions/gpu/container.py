"""A container's life, without the platform that runs it: what is done at each of its hooks, in their order.

    prepare    before the memory snapshot: imports, and the weights in the CPU's memory; no device, no connection
    awake      after it, at each start: who we are to AWS, the weights on the device, kernels tried and recorded
    listen     serve HTTP (Gate), or
    open       serve calls in this process (Generator), or
    work       take orders for shards of batches (Worker)
    close      let what runs end, settle it, let go

A model that cannot be loaded is told to whoever asks. Everything here may be snapshotted after `prepare` and
restored many times, also elsewhere: secrets are read anew after it.
"""

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog
from starlette.types import ASGIApp

from functions.gpu.cold_start import ColdStart
from functions.gpu.direct import Direct
from functions.gpu.engine import Engine, EngineOptions, ModelUnreadable, prepare_engine
from functions.gpu.engine_options import engine_options
from functions.gpu.http_server import HttpServer
from functions.gpu.identity import assume_own_role
from functions.gpu.process import Process
from functions.gpu.server import app_of
from functions.gpu.unloadable import refusal_to_load, unloadable
from functions.gpu.worker import Worker, open_worker
from penstock.errors import Unavailable
from penstock.logs import configure_logs
from penstock.models import ConfigError, ServedModel, read_models
from penstock.objects import ObjectsUnavailable
from penstock.settings import GpuSettings, read_settings

if TYPE_CHECKING:
    from functions.gpu.engine.prepared import PreparedEngine

TELL_FOR_S = 60.0  # that the model cannot be loaded; then the container ends, and the next caller's tries again
RETIRE_S = 3_600.0  # before the identity ends: longer than what runs may take
SETTLE_S = 30  # of the time to close, for what has to be settled once the requests have ended

log = structlog.get_logger()


class Container:
    """One container of one model. `retire` asks the platform to let it end, once what runs has ended."""

    def __init__(self, retire: Callable[[], None]) -> None:
        self._retire = retire
        self._cold_start = ColdStart()
        self._options: EngineOptions | None = None
        self._prepared: PreparedEngine | None = None
        self._made_in = _name()
        self._http: HttpServer | None = None
        self._process: Process | None = None
        self._worker: Worker | None = None
        self._timers: list[threading.Timer] = []

    def prepare(self) -> None:
        """Import, and load the weights into memory. What goes wrong with the model is kept for who asks."""
        settings, model = _settings()
        configure_logs("gpu", settings.log_level)
        try:
            with self._cold_start.phase("load"):
                options = engine_options(settings, model)
            self._options, self._prepared = options, prepare_engine(options)
        except ModelUnreadable as error:
            self._cannot_load(error)

    def awake(self) -> Engine | None:
        """The engine, on its device; None where the model cannot be loaded. Raises ConfigError."""
        if _name() != self._made_in:
            self._cold_start.woken()
            self._freshen()
        self._assume_role()
        if self._prepared is None:
            return None
        try:
            engine = self._prepared.start()
        except ModelUnreadable as error:
            self._cannot_load(error)
            return None
        self._prepared = None
        self._cold_start.engine(engine.load_seconds)
        return engine

    def listen(self, port: int) -> None:
        """Serve HTTP on the port; returns once it listens. Raises ConfigError, NotListening."""
        engine = self.awake()
        settings, model = _settings()
        app: ASGIApp
        if engine is None:
            app = unloadable(model.name)
            self._in(TELL_FOR_S, self._retire)
        else:
            app = app_of(self._process_of(engine))
        self._http = HttpServer(
            app, host=settings.bind, port=port, grace_s=max(1, int(settings.shutdown_grace_s) - SETTLE_S)
        )
        self._http.start()

    async def open(self) -> Direct:
        """Serve calls on this event loop. Raises ConfigError, and Unavailable where it cannot be done."""
        process = await self._started()
        return Direct(app_of(process), process)

    async def work(self) -> Worker:
        """Take orders on this event loop. Raises the same."""
        process = await self._started()
        try:
            self._worker = await open_worker(app_of(process), process)
        except ObjectsUnavailable as error:
            raise Unavailable("Object storage cannot be reached.", code="objects_unavailable") from error
        return self._worker

    def stop_listening(self) -> None:
        """Let requests end, or end them in time, and settle them."""
        self._cancel_timers()
        if self._http is not None:
            self._http.stop()

    async def close(self) -> None:
        """The same, of calls and orders."""
        self._cancel_timers()
        if self._worker is not None:
            await self._worker.close()
        if self._process is not None:
            await self._process.stop()

    async def _started(self) -> Process:
        engine = self.awake()
        _, model = _settings()
        if engine is None:
            raise refusal_to_load(model.name)
        process = self._process_of(engine)
        if not await process.start():
            raise Unavailable("The GPU process cannot start; its log says why.", code="startup_failed")
        self._process = process
        return process

    def _freshen(self) -> None:
        """Prepare again, where the weights that are served are others than those of the snapshot, or were not there."""
        try:
            same = engine_options(*_settings()) == self._options
        except ModelUnreadable:
            same = False
        if not same:
            self._options = self._prepared = None
            self.prepare()

    def _process_of(self, engine: Engine) -> Process:
        return Process(engine=engine, cold_start=self._cold_start, on_broken=self._retire)

    def _assume_role(self) -> None:
        left = assume_own_role()
        if left is not None:
            self._in(max(left - RETIRE_S, TELL_FOR_S), self._retire)

    def _cannot_load(self, error: ModelUnreadable) -> None:
        log.error("model_unreadable", error=" ".join(str(error).split()))

    def _in(self, seconds: float, action: Callable[[], None]) -> None:
        timer = threading.Timer(seconds, action)
        timer.daemon = True
        timer.start()
        self._timers.append(timer)

    def _cancel_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()


def _name() -> str | None:
    """What the platform calls this container: another than before, where it was woken from a snapshot."""
    return os.environ.get("MODAL_TASK_ID")


def _settings() -> tuple[GpuSettings, ServedModel]:
    """What the environment says now, and the model of the table. Raises ConfigError."""
    settings = read_settings(GpuSettings)
    model = read_models(settings.config).get(settings.model)
    if model is None:
        raise ConfigError(f"{settings.config}: no model {settings.model!r}")
    return settings, model
