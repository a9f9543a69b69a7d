"""The HTTP of the control plane: what clients and containers put and get, and what tests look at and change.

All of it is under one port. What is under /tests has no counterpart at Modal.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from grpclib import GRPCError

from tests.control_plane.content import MAX_BLOB, Content
from tests.control_plane.plane import Plane
from tests.control_plane.volumes import Volumes

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def application(plane: Plane) -> web.Application:
    """The routes."""
    app = web.Application(client_max_size=MAX_BLOB, middlewares=[_refused])
    storage, inspection = _Storage(plane.content, plane.volumes), _Inspection(plane)
    app.add_routes(
        [
            web.put("/blobs/{id}", storage.put_blob),
            web.get("/blobs/{id}", storage.get_blob),
            web.put("/blocks/{sha256}", storage.put_block),
            web.get("/volumes/{id}", storage.get_range),
            web.get("/tests/state", inspection.state),
            web.put("/tests/secrets/{name}", inspection.set_secret),
            web.put("/tests/reach/{port}", inspection.reach),
            web.post("/tests/containers/{id}/{action}", inspection.act),
        ]
    )
    return app


@web.middleware
async def _refused(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except GRPCError as error:
        return web.Response(status=404, text=f"{error.message}\n")


class _Storage:
    """Blobs, blocks and the ranges of Volumes' files."""

    def __init__(self, content: Content, volumes: Volumes) -> None:
        self._content = content
        self._volumes = volumes

    async def put_blob(self, request: web.Request) -> web.Response:
        md5 = self._content.put_blob(request.match_info["id"], await request.read())
        if md5 is None:
            raise web.HTTPNotFound
        return web.Response(headers={"ETag": f'"{md5}"'})

    async def get_blob(self, request: web.Request) -> web.Response:
        blob = self._content.blob(request.match_info["id"])
        if blob is None:
            raise web.HTTPNotFound
        return web.Response(body=blob)

    async def put_block(self, request: web.Request) -> web.Response:
        sha256 = self._content.put(await request.read())
        if sha256 != request.match_info["sha256"]:
            raise web.HTTPBadRequest(text="what came is not of that hash")
        return web.Response(text=sha256)

    async def get_range(self, request: web.Request) -> web.Response:
        start, end = int(request.query["start"]), int(request.query["end"])
        with self._volumes.path(request.match_info["id"], request.query["path"]).open("rb") as file:
            file.seek(start)
            return web.Response(body=file.read(end - start))


class _Inspection:
    """What tests look at and change."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane

    async def state(self, _: web.Request) -> web.Response:
        return web.json_response(self._plane.state())

    async def set_secret(self, request: web.Request) -> web.Response:
        values: dict[str, Any] = await request.json()
        self._plane.secrets.set(request.match_info["name"], {key: str(value) for key, value in values.items()})
        return web.Response(status=204)

    async def reach(self, request: web.Request) -> web.Response:
        await self._plane.let_reach(int(request.match_info["port"]))
        return web.Response(status=204)

    async def act(self, request: web.Request) -> web.Response:
        container, pool = self._plane.fleet.container(request.match_info["id"])
        match request.match_info["action"]:
            case "kill":
                container.kill()
            case "stop":
                pool.stop(container)
            case _:
                raise web.HTTPNotFound
        return web.Response(status=204)
