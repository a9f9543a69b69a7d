"""The relay: the GPU's answer, passed on as it comes.

Until the GPU's status is known nothing is committed, so that its errors keep their status; a stream that
has heard nothing for `heartbeat_after_s` is begun all the same and kept alive with comments. A cold Modal
Server answers 503 at once: it is asked again, under the same lease, until the start-up budget is spent.
A client that goes takes the request to the GPU with it (see `departure`).

The lease of a request that failed here is given back by who holds it: by `admit` until the answer is
begun, by the stream after. Both are safe: the ledger releases no lease that the GPU has claimed.
"""

import asyncio
from urllib.parse import quote

import aiohttp
import orjson
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from functions.edge.departure import departure, unless
from functions.edge.edge import CONNECT_TIMEOUT
from functions.edge.events import broke_off
from functions.edge.exchange import Exchange
from functions.edge.relayed_stream import RelayedStream, end
from functions.edge.upstream_error import read_error
from penstock.errors import Unavailable, UpstreamFailed

# Between two parts of an answer; the GPU process itself sends a comment every few seconds.
STREAM_SILENCE = 120  # seconds
WHOLE_ANSWER = 900  # seconds, as long as a Lambda function may run
MAX_ANSWER = 64 << 20  # bytes
FIRST_RETRY = 0.25  # seconds; doubles up to LAST_RETRY
LAST_RETRY = 2.0  # seconds
WARM_WITHIN = 2  # seconds


class Relay:
    """One request's way to the GPU process and back."""

    def __init__(self, exchange: Exchange, ticket: str) -> None:
        settings = exchange.edge.settings
        self._exchange = exchange
        self._http = exchange.edge.http()
        self._base = settings.gpu_url.replace("{model}", quote(exchange.model.name, safe="")).rstrip("/")
        self._headers = {"Penstock-Ticket": ticket, "Content-Type": "application/json"}
        self._budget = settings.startup_budget_s

    async def warm(self) -> bool:
        """Whether the GPU process would take a request at once."""
        timeout = aiohttp.ClientTimeout(total=WARM_WITHIN)
        try:
            async with self._http.get(f"{self._base}/health/ready", timeout=timeout) as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def answer(self) -> Response:
        """The GPU's answer: whole, or a stream that begins now. Raises ApiError, ClientDisconnect."""
        gone = asyncio.create_task(departure(self._exchange))
        opening = asyncio.create_task(self._open())
        try:
            if self._exchange.call.stream:
                await asyncio.wait(
                    {opening, gone},
                    timeout=self._exchange.edge.settings.heartbeat_after_s,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if opening.done():
                    opening.result()
                elif gone.done():
                    raise ClientDisconnect
                return RelayedStream(self._exchange, opening, gone)
            answer = await unless(gone, _whole(opening))
        except BaseException:
            await end(opening, gone)
            raise
        await end(opening, gone)
        return answer

    async def _open(self) -> aiohttp.ClientResponse:
        """The GPU's answer with its status known to be good. Raises ApiError."""
        clock = asyncio.get_running_loop().time
        give_up, pause = clock() + self._budget, FIRST_RETRY
        reconnected = False
        while True:
            try:
                response = await self._post()
            except aiohttp.ClientConnectorError as error:
                raise Unavailable("The GPU process cannot be reached.") from error
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                # A kept connection may have been closed under us. Asking again is safe: a ticket is
                # good for one generation, so if this one had begun the GPU says so.
                if reconnected:
                    raise Unavailable("The GPU process broke off before it answered.") from error
                reconnected = True
                continue
            except (aiohttp.ClientError, TimeoutError) as error:
                raise Unavailable("The GPU process cannot be reached.") from error
            if response.status == 200:
                return self._expected(response)
            cold = response.status == 503 and "Penstock-Gpu" not in response.headers
            if not cold:
                raise await read_error(response)
            response.close()
            if clock() + pause > give_up:
                raise Unavailable("The model is still starting.", retry_after=15, code="model_starting")
            await asyncio.sleep(pause)
            pause = min(2 * pause, LAST_RETRY)

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
            raise _not_an_answer()
        return response


async def _whole(opening: "asyncio.Task[aiohttp.ClientResponse]") -> Response:
    response = await opening
    body = bytearray()
    try:
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > MAX_ANSWER:
                raise UpstreamFailed("The GPU process sent an answer that is too long.")
    except (aiohttp.ClientError, TimeoutError) as error:
        raise broke_off() from error
    if not _is_object(body):
        raise _not_an_answer()
    return Response(bytes(body), media_type="application/json")


def _is_object(body: bytearray) -> bool:
    try:
        return isinstance(orjson.loads(body), dict)
    except orjson.JSONDecodeError:
        return False


def _not_an_answer() -> UpstreamFailed:
    return UpstreamFailed("The GPU process sent something that is not an answer.")
