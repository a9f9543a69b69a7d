"""What every request at the edge shares: settings, the table of models, the ledger, the way to the GPU.

Opened on first use and not at start, so that a Lambda which only answers `/health` opens nothing, and so
that no start-up hook is needed where there is none (Mangum's lifespan is off).
"""

import asyncio

import aiohttp

from penstock.ledger import Ledger, open_ledger
from penstock.models import read_models
from penstock.settings import EdgeSettings
from penstock.ticket import TicketKeys

CONNECT_TIMEOUT = 10  # seconds
# Shorter than the GPU process keeps an idle connection, so that a request never meets one just closed.
IDLE_CONNECTION = 4  # seconds


class Edge:
    """The edge's resources. Raises ConfigError where the table of models cannot be read."""

    def __init__(self, settings: EdgeSettings) -> None:
        self.settings = settings
        self.models = read_models(settings.config)
        self.tickets = TicketKeys.parse(settings.ticket_keys.get_secret_value())
        self._opening = asyncio.Lock()
        self._ledger: Ledger | None = None
        self._http: aiohttp.ClientSession | None = None

    async def ledger(self) -> Ledger:
        """The ledger, opened once. Raises LedgerUnavailable."""
        async with self._opening:
            if self._ledger is None:
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

    async def close(self) -> None:
        """Let go of all connections."""
        if self._http is not None:
            await self._http.close()
        if self._ledger is not None:
            await self._ledger.close()
