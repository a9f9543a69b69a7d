"""The relay: the GPU's answer, passed on as it comes.

Until the GPU's status is known nothing is committed, so that its errors keep their status; a stream that
has heard nothing for `heartbeat_after_s` is begun all the same and kept alive with comments. What is asked
again until there is a status, and for how long, is told in `upstream`. A client that goes takes the request
to the GPU with it (see `departure`).

The lease of a request that failed here is given back by who holds it: by `admit` until the answer is
begun, by the stream after. Both are safe: the ledger releases no lease that the GPU has claimed.
"""

import asyncio

import aiohttp
import orjson
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from functions.edge.departure import departure, unless
from functions.edge.events import broke_off
from functions.edge.exchange import Exchange
from functions.edge.relayed_stream import RelayedStream, end
from functions.edge.upstream import Upstream, not_an_answer
from penstock.errors import UpstreamFailed

MAX_ANSWER = 64 << 20  # bytes


class Relay:
    """One request's way to the GPU process and back."""

    def __init__(self, exchange: Exchange, upstream: Upstream) -> None:
        self._exchange = exchange
        self._upstream = upstream

    async def answer(self) -> Response:
        """The GPU's answer: whole, or a stream that begins now. Raises ApiError, ClientDisconnect."""
        gone = asyncio.create_task(departure(self._exchange))
        opening = asyncio.create_task(self._upstream.open())
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
        raise not_an_answer()
    return Response(bytes(body), media_type="application/json")


def _is_object(body: bytearray) -> bool:
    try:
        return isinstance(orjson.loads(body), dict)
    except orjson.JSONDecodeError:
        return False
