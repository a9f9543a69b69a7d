"""Workers on Modal: each model's deployed `Worker_MODEL`, whose containers start and end with the work.

A call is named by Modal; that name is all that is kept of it. Modal delivers a call again where its container died,
until it has given up, and keeps what became of it for a week. The token is that of the settings, or what Modal's own
client finds: MODAL_TOKEN_ID and MODAL_TOKEN_SECRET, or its configuration file. Modal's client is loaded with the first
call: it takes half a second, which no other event should wait for.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import structlog

from functions.batch.kept_secrets import KeptSecrets, SecretsUnreadable
from functions.batch.workers.protocol import CallState, WorkersUnavailable
from penstock.batches.orders import Order
from penstock.deployment import class_name, read_deployment
from penstock.settings import BatchSettings

if TYPE_CHECKING:
    import modal

WITHIN_S = 30.0  # until Modal has answered

log = structlog.get_logger()


class ModalWorkers:
    """The workers of the app that the settings' table names."""

    def __init__(self, settings: BatchSettings) -> None:
        self._config = settings.config
        self._app: str | None = None
        token = {"modal_token_id": settings.modal_token_id, "modal_token_secret": settings.modal_token_secret}
        given = {name: secret for name, secret in token.items() if secret is not None}
        self._token = KeptSecrets(settings.secrets_cache_s, **given) if given else None
        self._client: modal.Client | None = None
        self._token_of_client: dict[str, str] = {}

    async def start(self, order: Order) -> str:
        """Spawn the call."""
        import modal  # noqa: PLC0415 (see above)

        if self._app is None:
            self._app = read_deployment(self._config).app
        with _failures(f"the model {order.model!r} of the app {self._app!r}"):
            async with asyncio.timeout(WITHIN_S):
                client = await self._opened()
                worker: Any = modal.Cls.from_name(self._app, class_name("Worker", order.model), client=client)()
                call = await worker.run.spawn.aio(order.written())
        return str(call.object_id)

    async def state(self, model: str, call: str) -> CallState:
        """What Modal says became of the call."""
        import modal.exception  # noqa: PLC0415

        with _failures(f"the call {call}"):
            found = modal.FunctionCall.from_id(call, client=await self._opened())
        try:
            await found.get.aio(timeout=0)
        except TimeoutError:  # the builtin one: it is under way
            return CallState.RUNNING
        except (
            OSError,
            modal.exception.ConnectionError,
            modal.exception.ServiceError,
            modal.exception.AuthError,
        ) as no:
            raise WorkersUnavailable(_said(f"the call {call}", no)) from None
        except (Exception, modal.exception.InputCancellation) as error:
            log.warning("call_failed", call=call, model=model, error=type(error).__name__)
            return CallState.FAILED
        return CallState.ENDED

    async def cancel(self, model: str, call: str) -> None:
        """Cancel the call: Modal tells its container, which ends one task."""
        import modal  # noqa: PLC0415

        with _failures(f"the call {call}"):
            async with asyncio.timeout(WITHIN_S):
                await modal.FunctionCall.from_id(call, client=await self._opened()).cancel.aio()

    async def close(self) -> None:
        """Nothing: the connection of Modal's client is the process's, and ends with it."""

    async def _opened(self) -> "modal.Client | None":
        """The client with the settings' token as it is now; None: Modal's own."""
        import modal  # noqa: PLC0415

        if self._token is None:
            return None
        token = await self._token.get()
        if token != self._token_of_client:
            id_, secret = token["modal_token_id"], token["modal_token_secret"]
            self._client = await modal.Client.from_credentials.aio(id_, secret)
            self._token_of_client = token
        return self._client


@contextmanager
def _failures(what: str) -> Iterator[None]:
    import modal.exception  # noqa: PLC0415

    try:
        yield
    except (modal.exception.Error, SecretsUnreadable, OSError, TimeoutError) as error:
        raise WorkersUnavailable(_said(what, error)) from None


def _said(what: str, error: BaseException) -> str:
    return f"{what}: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
