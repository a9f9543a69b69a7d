"""Where servers are reached: a port of 127.0.0.1 for each, which stands for the host name that Modal gives it.

As at Modal, nothing waits here: without a container that is ready the answer is 503 while one is started, above
`max_concurrency` it is 429, and without the credentials that a server asks for it is 401 and no container knows.
Bodies pass through piece by piece; when one side leaves, the connection to the other is closed at once.
"""

import hmac
from collections.abc import Callable
from contextlib import suppress

import aiohttp
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from tests.control_plane.container import Container, State
from tests.control_plane.pool import Pool

# They belong to one connection (RFC 9110, 7.6.1), or are for the front alone.
OWN = frozenset(
    {
        "connection",
        "keep-alive",
        "modal-key",
        "modal-secret",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
UNASKED = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")  # what the client library would add


class Front:
    """The servers' ports. `key` and `secret` are the one pair that is valid where credentials are asked for."""

    def __init__(self, pool: Callable[[str], Pool], key: str, secret: str) -> None:
        self._pool = pool
        self._credentials = (key, secret)
        self._urls: dict[str, str] = {}

    def url(self, function_id: str) -> str | None:
        """The server's URL, without a slash at its end. None for what is no server."""
        return self._urls.get(function_id)

    async def open(self, function_id: str) -> None:
        """Serve it, at the same URL for every version."""
        if function_id in self._urls:
            return
        app = web.Application()

        async def handle(request: web.Request) -> web.StreamResponse:
            return await self._handle(request, self._pool(function_id))

        app.router.add_route("*", "/{path:.*}", handle)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        self._urls[function_id] = f"http://{host}:{port}"

    async def _handle(self, request: web.Request, pool: Pool) -> web.StreamResponse:
        if pool.closed:
            return _refuse(404, "the App was stopped")
        if not pool.definition.function.http_config.unauthenticated and not self._authorized(request):
            return _refuse(401, "missing credentials for proxy authorization")
        ready = [container for container in pool.live if container.state is State.READY]
        if not ready:
            pool.scale(at_least=1)
            return _refuse(503, "no container is ready")
        limit = pool.definition.max_inputs
        free = [container for container in ready if not limit or container.requests < limit]
        if not free:
            pool.scale(at_least=len(pool.live) + 1)
            return _refuse(429, "all containers are at their maximum concurrency")
        container = min(free, key=lambda each: each.requests)
        container.requests += 1
        pool.scale()
        try:
            return await _pass_on(request, container)
        finally:
            container.requests -= 1
            container.touch()

    def _authorized(self, request: web.Request) -> bool:
        given = (request.headers.get("Modal-Key", ""), request.headers.get("Modal-Secret", ""))
        pairs = zip(given, self._credentials, strict=True)
        return all(hmac.compare_digest(one.encode(), other.encode()) for one, other in pairs)


def _refuse(status: int, why: str) -> web.Response:
    return web.Response(status=status, text=f"modal-http: {why}\n")


async def _pass_on(request: web.Request, container: Container) -> web.StreamResponse:
    connector = aiohttp.UnixConnector(path=container.gate, force_close=True)
    timeout = aiohttp.ClientTimeout(total=None)
    response: web.StreamResponse | None = None
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False, timeout=timeout) as session:
        try:
            async with session.request(
                request.method,
                URL(f"http://server{request.raw_path}", encoded=True),
                data=request.content if request.body_exists else None,
                headers=_passed_on(request.headers),
                skip_auto_headers=UNASKED,
                allow_redirects=False,
            ) as got:
                response = web.StreamResponse(status=got.status, reason=got.reason, headers=_passed_on(got.headers))
                await response.prepare(request)
                async for piece in got.content.iter_any():
                    await response.write(piece)
                await response.write_eof()
                return response
        except aiohttp.ClientConnectionResetError:
            raise  # it is the client that has left
        except aiohttp.ClientError:
            if response is None:
                return _refuse(502, "the container did not answer")
            with suppress(AttributeError):
                request.transport.abort()  # type: ignore[union-attr] # the answer must not look whole
            return response


def _passed_on(headers: "CIMultiDictProxy[str]") -> "CIMultiDict[str]":
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in OWN)
