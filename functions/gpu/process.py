"""The process: whether its service is up, and how it is brought up and down.

A start that fails is one line of JSON in the log.
"""

from collections.abc import Callable

import structlog

from functions.gpu.cold_start import ColdStart
from functions.gpu.engine import Engine, ModelUnreadable
from functions.gpu.service import Service, end_process, open_service
from penstock.errors import Unavailable
from penstock.ledger import Ledger, LedgerUnavailable
from penstock.logs import configure_logs
from penstock.models import ConfigError
from penstock.settings import GpuSettings, read_settings

log = structlog.get_logger()


class Process:
    """The service, while there is one. What is given is not made from the environment."""

    def __init__(
        self,
        settings: GpuSettings | None = None,
        engine: Engine | None = None,
        ledger: Ledger | None = None,
        *,
        cold_start: ColdStart | None = None,
        on_broken: Callable[[], None] = end_process,
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._ledger = ledger
        self._cold_start = cold_start or ColdStart()
        self._on_broken = on_broken
        self._service: Service | None = None

    def service(self) -> Service:
        """The service. Raises Unavailable before the start and after the end."""
        if self._service is None:
            raise Unavailable("The model is not loaded.", code="model_starting")
        return self._service

    async def start(self) -> bool:
        """Open the service. False, and one line in the log, where that cannot be done."""
        configure_logs("gpu", "info")  # until the level is known
        try:
            settings = self._settings or read_settings(GpuSettings)
            configure_logs("gpu", settings.log_level)
            self._service = await open_service(settings, self._engine, self._ledger, self._cold_start, self._on_broken)
        except ModelUnreadable as error:
            log.error("model_unreadable", error=_one_line(error))
            return False
        except (ConfigError, LedgerUnavailable) as error:
            log.error("startup_failed", error=_one_line(error))
            return False
        self._cold_start.ready(self._service.model.name)
        log.info("ready", model=self._service.model.name, context_length=self._service.engine.context_length)
        return True

    async def stop(self) -> None:
        """Close the service."""
        if self._service is not None:
            await self._service.close()
            self._service = None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
