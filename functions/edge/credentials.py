"""The edge's credentials: what it signs tickets with, and what it shows the proxy before the GPU process.

Given as literals they are there at once, and stay. References are read when they are first needed, all in one
request, and again once they are `secrets_cache_s` old, so that a rotation needs no deployment. That reading
holds nobody up: requests go on with what is there, also where it fails, or brings something malformed; which
is logged, and tried again a few seconds later. Only who has nothing yet waits, or is refused.

On Lambda nothing runs between invocations: what is read again there is read beside the next requests, and a
function that slept for hours answers one with what it knew before. So what a rotation replaces has to stay
valid for a day, as it has to for everything else that is under way.
"""

import asyncio
import math
from dataclasses import dataclass
from time import monotonic

import structlog

from penstock.errors import Unavailable
from penstock.secrets import check_header, name_in
from penstock.settings import EdgeSettings
from penstock.ticket import TicketKeys

TRY_AGAIN_IN = 5.0  # seconds after a reading that failed; until then no request causes another

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Credentials:
    """The signing keys, and the headers that the proxy asks for, which nobody else may see."""

    tickets: TicketKeys
    proxy: dict[str, str]

    @classmethod
    def of(cls, ticket_keys: str, gpu_key: str | None = None, gpu_secret: str | None = None) -> "Credentials":
        """Of the secrets in clear, which have been checked."""
        proxy = {} if gpu_key is None or gpu_secret is None else {"Modal-Key": gpu_key, "Modal-Secret": gpu_secret}
        return cls(TicketKeys.parse(ticket_keys), proxy)


class SecretsUnreadable(Exception):
    """A secret cannot be used: one line that names its setting and its parameter, and shows no value."""


class Keyring:
    """The credentials as they are now. Used from one event loop."""

    def __init__(self, settings: EdgeSettings) -> None:
        self._keep_s = settings.secrets_cache_s
        secrets = {name: getattr(settings, name) for name in ("ticket_keys", "gpu_key", "gpu_secret")}
        self._given = {name: secret for name, secret in secrets.items() if secret is not None}
        kept = {name: name_in(secret) for name, secret in self._given.items()}
        self._kept = {name: parameter for name, parameter in kept.items() if parameter is not None}
        self._known: Credentials | None = None if self._kept else self._credentials({})
        self._read_again_at = -math.inf if self._kept else math.inf
        self._reading: asyncio.Task[None] | None = None

    async def get(self) -> Credentials:
        """The credentials. Raises Unavailable where they have not been read, and cannot be."""
        self.refresh()
        if self._known is None and self._reading is not None:
            # Of those who wait for it, one may be cancelled: not for the others.
            await asyncio.shield(self._reading)
        if self._known is None:
            raise Unavailable("The edge's own credentials cannot be read.", code="secrets_unavailable")
        return self._known

    def refresh(self) -> None:
        """Begin to read the references, where that is due and not under way. Waits for nothing."""
        if self._reading is None and monotonic() >= self._read_again_at:
            self._reading = asyncio.create_task(self._read())

    async def prime(self) -> None:
        """Load what a reading takes, and read nothing."""
        if self._kept:
            from penstock import parameter_store  # noqa: PLC0415

            await parameter_store.prime()

    def expire(self) -> None:
        """Let what is known be read again with the next request: nobody knows how old it is."""
        if self._kept:
            self._read_again_at = -math.inf

    async def close(self) -> None:
        """End a reading that is under way."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
            self._reading = None

    async def _read(self) -> None:
        self._read_again_at = monotonic() + TRY_AGAIN_IN
        try:
            self._known = self._credentials(await _parameters(self._kept))
            self._read_again_at = monotonic() + self._keep_s
        except SecretsUnreadable as error:
            log.error("secrets_unreadable", reason=str(error), kept=self._known is not None)
        finally:
            self._reading = None

    def _credentials(self, read: dict[str, str]) -> Credentials:
        """Of what was given, and of the parameters by name. Raises SecretsUnreadable."""
        clear: dict[str, str] = {}
        for name, secret in self._given.items():
            parameter = self._kept.get(name)
            clear[name] = secret.get_secret_value() if parameter is None else read[parameter]
            try:
                (TicketKeys.parse if name == "ticket_keys" else check_header)(clear[name])
            except ValueError as error:
                raise SecretsUnreadable(f"PENSTOCK_{name.upper()}, the parameter {parameter}: {error}") from None
        return Credentials.of(**clear)


async def _parameters(kept: dict[str, str]) -> dict[str, str]:
    """The values of the parameters that the settings refer to. Raises SecretsUnreadable."""
    # Who gives literals, as on a laptop, need not have AWS's client.
    from penstock.parameter_store import ParametersUnavailable, read_parameters  # noqa: PLC0415

    try:
        return await read_parameters(kept.values())
    except ParametersUnavailable as error:
        settings = ", ".join(f"PENSTOCK_{name.upper()}" for name in kept)
        raise SecretsUnreadable(f"{settings}: {error}") from None
