"""What direct callers ask that needs no GPU: the models that a key may use, and what was used of its account.

The answers are those of `GET /v1/models` and `GET /v1/usage`, behind the same checks. Nothing here loads a model.
"""

from collections.abc import Mapping
from typing import Any, Self

from functions.gpu.caller import caller_of
from penstock.catalogue import offer, offered
from penstock.clock import now_ms
from penstock.entitlement import require_entitled, require_route
from penstock.errors import BadRequest
from penstock.ledger import Caller, Ledger, LedgerUnavailable, open_ledger
from penstock.models import ModelTable, read_models
from penstock.refusals import ledger_unavailable
from penstock.schemas.reading import read
from penstock.schemas.report import UsageQuery
from penstock.settings import DirectSettings
from penstock.statement import statement


class Desk:
    """One process's, over one ledger. Every method raises ApiError."""

    def __init__(self, ledger: Ledger, models: ModelTable, service_key_id: str | None) -> None:
        self._ledger = ledger
        self._models = models
        self._service_key_id = service_key_id

    @classmethod
    async def open(cls, settings: DirectSettings) -> Self:
        """Raises ConfigError, LedgerUnavailable."""
        models = read_models(settings.config)
        return cls(await open_ledger(settings.ledger_url), models, settings.service_key_id)

    async def models(self, name: str | None, *, api_key: str | None) -> dict[str, Any]:
        """All models that the key may use, or the one of this name or alias."""
        caller = await self._caller(api_key, "models")
        answer = offered(self._models, caller.key) if name is None else offer(self._models, caller.key, name)
        return answer.model_dump(mode="json")

    async def usage(self, query: Mapping[str, str], *, api_key: str | None) -> dict[str, Any]:
        """What was used, the key's limits, and what remains; `query` is what a URL's would be."""
        caller = await self._caller(api_key, "usage")
        asked = read(UsageQuery, dict(query))
        if asked.format != "json":
            raise BadRequest("format: only 'json' comes over the direct path.", param="format", code="invalid_value")
        try:
            report = await statement(self._ledger, caller, asked, now_ms())
        except LedgerUnavailable as error:
            raise ledger_unavailable() from error
        return report.model_dump(mode="json")

    async def close(self) -> None:
        """Let go of the ledger."""
        await self._ledger.close()

    async def _caller(self, api_key: str | None, group: str) -> Caller:
        try:
            caller = await caller_of(self._ledger, api_key, self._service_key_id)
        except LedgerUnavailable as error:
            raise ledger_unavailable() from error
        require_entitled(caller, now_ms())
        require_route(caller, group)
        return caller
