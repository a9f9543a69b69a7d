"""The GPU's stream, passed on one whole event at a time, and kept alive with comments until it begins."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from functions.edge.boundary import interruption
from functions.edge.departure import unless
from functions.edge.events import broke_off, whole_events
from functions.edge.exchange import Exchange
from penstock.errors import ApiError
from penstock.schemas.completion import comment, error_event

# A proxy that collects a stream, or keeps it, would make it none.
STREAM_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


class RelayedStream(Response):
    """The GPU's events. `opening` ends with its answer, `gone` when the client has left; both end here."""

    media_type = "text/event-stream"

    def __init__(
        self, exchange: Exchange, opening: "asyncio.Task[aiohttp.ClientResponse]", gone: "asyncio.Task[None]"
    ) -> None:
        super().__init__(headers=STREAM_HEADERS)
        del self.headers["content-length"]
        self._exchange = exchange
        self._opening = opening
        self._gone = gone

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream, until it ends or the client goes.

        Cancelled is the end of the process, or of the time for this request: the task ends here too, but not
        without a word to the client.
        """
        try:
            await unless(self._gone, self._pass_on(send))
        except asyncio.CancelledError:
            await end(self._opening, self._gone)
            await self._fail(interruption(scope), send)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except BaseException:
            # First of all, so that the GPU stops at once, whatever the ledger is doing.
            await end(self._opening, self._gone)
            await asyncio.shield(self._exchange.give_back())
            raise
        finally:
            await end(self._opening, self._gone)

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


async def end(opening: "asyncio.Task[aiohttp.ClientResponse]", gone: "asyncio.Task[None]") -> None:
    """End both tasks, and the connection to the GPU with them."""
    opening.cancel()
    gone.cancel()
    results = await asyncio.gather(opening, gone, return_exceptions=True)
    if isinstance(results[0], aiohttp.ClientResponse):
        results[0].close()
