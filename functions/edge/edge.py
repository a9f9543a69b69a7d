"""What every request at the edge shares: settings, the table of models, the ledger, the way to the GPU, where files
and batches are, and what the process remembers of those who call.

Opened on first use and not at start, so that a Lambda which only answers `/health` opens nothing, and so
that no start-up hook is needed where there is none (Mangum's lifespan is off).
"""

import asyncio

import aiohttp

from functions.edge.buckets import Buckets
from functions.edge.credentials import Keyring
from functions.edge.lookups import Lookups
from functions.edge.refusals import Refusals
from functions.edge.storage import Storage
from penstock.gpu_urls import GpuUrls
from penstock.ledger import Caller, Ledger, Switch, open_ledger, prime_ledger
from penstock.models import ConfigError, read_models
from penstock.settings import EdgeSettings

CONNECT_TIMEOUT = 10  # seconds
# Shorter than the GPU process keeps an idle connection, so that a request never meets one just closed.
IDLE_CONNECTION = 4  # seconds
CALLERS = 10_000  # whose key is remembered
ADDRESSES = 10_000  # whose wrong keys are counted
FAILURES = 60  # of an address at once, and in a minute
CREATIONS = 60  # of files and batches, by an API key at once, and in a minute
REPETITIONS = 100  # under an `Idempotency-Key`, of an API key at once; a tenth of them a second


class Edge:
    """The edge's resources. Raises ConfigError where the table of models cannot be read, or the URLs are not its."""

    def __init__(self, settings: EdgeSettings) -> None:
        self.settings = settings
        self.models = read_models(settings.config)
        self.gpu = GpuUrls.read("PENSTOCK_GPU_URL", settings.gpu_url, self.models)
        self.gpu_public = self._public_urls()
        self.keyring = Keyring(settings)
        # What the ledger says of a key by its id, and of everybody (the empty name).
        self.callers: Lookups[Caller | None] = Lookups(self._caller, keep_s=settings.caller_cache_s, most=CALLERS)
        self.switches: Lookups[Switch] = Lookups(self._switch, keep_s=settings.caller_cache_s, most=1)
        self.failures = Buckets(burst=FAILURES, per_second=FAILURES / 60, most=ADDRESSES)
        self.repetitions = Buckets(burst=REPETITIONS, per_second=REPETITIONS / 10, most=CALLERS)
        self.creations = Buckets(burst=CREATIONS, per_second=CREATIONS / 60, most=CALLERS)
        self.refusals = Refusals()
        self.storage = Storage(settings)
        self.unattended = asyncio.Semaphore(settings.relay_connections)
        self._opening = asyncio.Lock()
        self._ledger: Ledger | None = None
        self._http: aiohttp.ClientSession | None = None

    async def ledger(self) -> Ledger:
        """The ledger, opened once. Raises LedgerUnavailable."""
        async with self._opening:
            if self._ledger is None:
                self.keyring.refresh()  # beside it: the first request needs both
                self._ledger = await open_ledger(self.settings.ledger_url)
            return self._ledger

    def http(self) -> aiohttp.ClientSession:
        """The connections to the GPU process. Their number is bounded; further requests wait for one."""
        if self._http is None:
            self._http = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self.settings.relay_connections, keepalive_timeout=IDLE_CONNECTION
                ),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            )
        return self._http

    def _public_urls(self) -> GpuUrls | None:
        """Where clients are sent. Not to a host at which the edge itself needs credentials: they have none."""
        if self.settings.gpu_public_url is None:
            return None
        public = GpuUrls.read("PENSTOCK_GPU_PUBLIC_URL", self.settings.gpu_public_url, self.models)
        shared = [one.name for one in self.models.models if public.host(one.name) == self.gpu.host(one.name)]
        if shared and self.settings.gpu_key is not None:
            raise ConfigError(
                "PENSTOCK_GPU_PUBLIC_URL: its host asks for PENSTOCK_GPU_KEY, which clients do not have; direct "
                'delivery needs GPU processes deployed without proxy auth (delivery = "direct"), and no key here'
            )
        return public

    async def _caller(self, key_id: str) -> Caller | None:
        return await (await self.ledger()).caller(key_id)

    async def _switch(self, _: str) -> Switch:
        return await (await self.ledger()).switch()

    async def prime(self) -> None:
        """Load what the first request will need, and open nothing: no connection, no secret."""
        await prime_ledger(self.settings.ledger_url)
        await self.keyring.prime()

    async def renew(self) -> None:
        """Let go of what grows old while the process stands still. For between requests: it breaks those under way.

        What was looked up, and connections to the GPU process and to the objects, which may have been closed or
        forgotten on the way. Those to the ledger are its own to try again.
        """
        self.callers.clear()
        self.switches.clear()
        self.keyring.expire()
        await self.storage.renew()
        http, self._http = self._http, None
        if http is not None:
            await http.close()

    async def close(self) -> None:
        """Let go of all connections."""
        await self.keyring.close()
        await self.storage.close()
        if self._http is not None:
            await self._http.close()
        if self._ledger is not None:
            await self._ledger.close()
