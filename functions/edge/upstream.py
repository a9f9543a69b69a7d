"""The GPU process as the edge reaches it: until it has taken a request up, or refused it.

It may stand behind Modal's proxy. What the GPU process says itself has the header `Penstock-Gpu`, and stands;
what lacks it is the proxy's, and may pass (see `proxy`). Asking again is safe at any time: a ticket is good
for one generation, so where the request had been taken up after all, the GPU process says so.
"""

import aiohttp
import structlog

from functions.edge.edge import CONNECT_TIMEOUT
from functions.edge.exchange import Exchange
from functions.edge.proxy import NOT_LET_IN, Patience
from functions.edge.relayed_stream import RelayedStream
from functions.edge.upstream_error import read_error
from penstock.errors import Unavailable, UpstreamFailed

# Between two parts of an answer; the GPU process itself sends a comment every few seconds.
STREAM_SILENCE = 120  # seconds
WHOLE_ANSWER = 900  # seconds, as long as a Lambda function may run
WARM_WITHIN = 2  # seconds
ASKED_WITHIN = 0.5  # seconds, for a proxy to say that the GPU process is not there
OURS = "Penstock-Gpu"  # on whatever the GPU process answers

log = structlog.get_logger()


class Upstream:
    """One request's way to the GPU process."""

    def __init__(self, exchange: Exchange, ticket: str) -> None:
        settings = exchange.edge.settings
        self._exchange = exchange
        self._http = exchange.edge.http()
        self._base = exchange.edge.gpu.of(exchange.model.name)
        self._credentials = exchange.credentials.proxy
        self._headers = {
            **self._credentials,
            "Penstock-Ticket": ticket,
            "Content-Type": "application/json",
            "X-Request-Id": exchange.request_id,
            **exchange.trace.headers,
        }
        self._budget = settings.startup_budget_s

    async def warm(self) -> bool:
        """Whether the GPU process would take a request at once."""
        url, timeout = f"{self._base}/health/ready", aiohttp.ClientTimeout(total=WARM_WITHIN)
        try:
            # A redirect is no answer of it, and whoever it leads to must not see the credentials.
            async with self._http.get(
                url, headers=self._credentials, timeout=timeout, allow_redirects=False
            ) as response:
                self._note(response)
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def open(self) -> aiohttp.ClientResponse:
        """The GPU's answer, with its status known to be good. Raises ApiError, within the start-up budget."""
        patience = Patience(self._patience_s())
        while True:
            response = await self._asked()
            if response.status == 200:
                return self._expected(response)
            if OURS in response.headers:
                raise await read_error(response)
            response.close()
            self._note(response)
            await patience.pause(response.status)

    def _patience_s(self) -> float:
        """How long it is asked again: what a deadline leaves of the budget, so that the caller hears what it is."""
        deadline = self._exchange.deadline
        return self._budget if deadline is None else min(self._budget, deadline.remaining() - ASKED_WITHIN)

    async def _asked(self) -> aiohttp.ClientResponse:
        """What the other end says. Raises Unavailable where nobody is there, or leaves twice without a word."""
        reconnected = False
        while True:
            try:
                return await self._post()
            except aiohttp.ClientConnectorError as error:
                raise Unavailable("The GPU process cannot be reached.") from error
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                # A kept connection may have been closed under us.
                if reconnected:
                    raise Unavailable("The GPU process broke off before it answered.") from error
                reconnected = True
            except (aiohttp.ClientError, TimeoutError) as error:
                raise Unavailable("The GPU process cannot be reached.") from error

    async def _post(self) -> aiohttp.ClientResponse:
        url = f"{self._base}{self._exchange.request.url.path}"
        silence = STREAM_SILENCE + self._budget if self._exchange.call.stream else WHOLE_ANSWER
        attempt = self._exchange.attempt
        timeout = aiohttp.ClientTimeout(
            total=None if attempt is None else attempt.remaining(),
            connect=self._budget,  # the wait for a free connection is in it
            sock_connect=CONNECT_TIMEOUT,
            sock_read=silence,
        )
        return await self._http.post(
            url, data=self._exchange.body, headers=self._headers, timeout=timeout, allow_redirects=False
        )

    def _expected(self, response: aiohttp.ClientResponse) -> aiohttp.ClientResponse:
        expected = RelayedStream.media_type if self._exchange.call.stream else "application/json"
        if response.content_type != expected:
            response.close()
            raise not_an_answer()
        return response

    def _note(self, response: aiohttp.ClientResponse) -> None:
        """Only an operator can mend credentials that the proxy does not accept."""
        if response.status in NOT_LET_IN and OURS not in response.headers:
            log.error(
                "gpu_credentials_refused",
                request_id=self._exchange.request_id,
                model=self._exchange.model.name,
                status=response.status,
                settings="PENSTOCK_GPU_KEY, PENSTOCK_GPU_SECRET",
            )


def not_an_answer() -> UpstreamFailed:
    """The error of a 200 that holds something else."""
    return UpstreamFailed("The GPU process sent something that is not an answer.")
