"""The relay: the GPU's answer, passed on as it comes.

Until the GPU's status is known nothing is committed, so that its errors keep their status; a stream that
has heard nothing for `heartbeat_after_s` is begun all the same and kept alive with comments. A cold Modal
Server answers 503 at once: it is asked again, under the same lease, until the start-up budget is spent.
A client that goes takes the request to the GPU with it.

The lease of a request that failed here is given back by who holds it: by `admit` until the answer is
begun, by the stream after. Both are safe: the ledger releases no lease that the GPU has claimed.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import TypeVar
from urllib.parse import quote

import aiohttp
import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from functions.edge.boundary import stopping
from functions.edge.edge import CONNECT_TIMEOUT
from functions.edge.events import broke_off, whole_events
from functions.edge.exchange import Exchange
from functions.edge.upstream_error import read_error
from penstock.errors import ApiError, Unavailable, UpstreamFailed
from penstock.schemas.completion import comment, error_event

# Between two parts of an answer; the GPU process itself sends a comment every few seconds.
STREAM_SILENCE = 120  # seconds
WHOLE_ANSWER = 900  # seconds, as long as a Lambda function may run
MAX_ANSWER = 64 << 20  # bytes
FIRST_RETRY = 0.25  # seconds; doubles up to LAST_RETRY
LAST_RETRY = 2.0  # seconds
WARM_WITHIN = 2  # seconds

T = TypeVar("T")


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
        gone = asyncio.create_task(_gone(self._exchange.request))
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
            answer = await _unless(gone, _whole(opening))
        except BaseException:
            await _end(opening, gone)
            raise
        await _end(opening, gone)
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
        # `connect` bounds the wait for a free connection as well.
        timeout = aiohttp.ClientTimeout(connect=self._budget, sock_connect=CONNECT_TIMEOUT, sock_read=silence)
        return await self._http.post(
            url, data=self._exchange.body, headers=self._headers, timeout=timeout, allow_redirects=False
        )

    def _expected(self, response: aiohttp.ClientResponse) -> aiohttp.ClientResponse:
        expected = RelayedStream.media_type if self._exchange.call.stream else "application/json"
        if response.content_type != expected:
            response.close()
            raise _not_an_answer()
        return response


class RelayedStream(Response):
    """The GPU's events, passed on one whole event at a time."""

    media_type = "text/event-stream"

    def __init__(
        self, exchange: Exchange, opening: "asyncio.Task[aiohttp.ClientResponse]", gone: "asyncio.Task[None]"
    ) -> None:
        super().__init__(headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._exchange = exchange
        self._opening = opening
        self._gone = gone

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream, until it ends or the client goes.

        Cancelled is the end of the process: the task ends here too, but not without a word to the client.
        """
        try:
            await _unless(self._gone, self._pass_on(send))
        except asyncio.CancelledError:
            await self._fail(stopping(), send)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except BaseException:
            await asyncio.shield(self._exchange.give_back())
            raise
        finally:
            await _end(self._opening, self._gone)

    async def _pass_on(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            async for part in self._parts():
                await send({"type": "http.response.body", "body": part, "more_body": True})
        except ApiError as error:
            await self._fail(error, send)
        except (aiohttp.ClientError, TimeoutError):
            await self._fail(broke_off(), send)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _parts(self) -> AsyncIterator[bytes]:
        every = self._exchange.edge.settings.heartbeat_every_s
        while not self._opening.done():
            yield comment("waiting for the model")
            await asyncio.wait({self._opening}, timeout=every)
        async for events in whole_events(self._opening.result().content.iter_any()):
            yield events

    async def _fail(self, error: ApiError, send: Send) -> None:
        self._exchange.facts.update(error=error.code)
        await send({"type": "http.response.body", "body": error_event(error.envelope()), "more_body": True})
        await self._exchange.give_back()


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


async def _gone(request: Request) -> None:
    """Ends when the client has gone. Behind Mangum, which cannot know, it never does."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _unless(gone: "asyncio.Task[None]", work: Awaitable[T]) -> T:
    """The work's result; where the client goes first, the work is cancelled and ClientDisconnect raised."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _end(opening: "asyncio.Task[aiohttp.ClientResponse]", gone: "asyncio.Task[None]") -> None:
    """End both tasks, and the connection to the GPU with them."""
    opening.cancel()
    gone.cancel()
    results = await asyncio.gather(opening, gone, return_exceptions=True)
    if isinstance(results[0], aiohttp.ClientResponse):
        results[0].close()
