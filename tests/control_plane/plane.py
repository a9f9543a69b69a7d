"""The control plane: its parts, put together. It keeps all in memory and in its folder, and ends with its process."""

import asyncio
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from grpclib.server import Server

from tests.control_plane.app_service import AppService
from tests.control_plane.blob_service import BlobService
from tests.control_plane.call_service import CallService
from tests.control_plane.container import Container
from tests.control_plane.container_service import ContainerService
from tests.control_plane.content import Content
from tests.control_plane.fleet import Fleet
from tests.control_plane.front import Front
from tests.control_plane.function_service import FunctionService
from tests.control_plane.ids import Ids
from tests.control_plane.images import Images
from tests.control_plane.inside.network import LOOPBACK, forwarding
from tests.control_plane.pool import Pool
from tests.control_plane.record import Record
from tests.control_plane.registry import Registry
from tests.control_plane.rpc import Endpoint
from tests.control_plane.secrets import Secrets
from tests.control_plane.state import Describe
from tests.control_plane.task_service import TaskService
from tests.control_plane.volumes import Volumes


class Plane:
    """All of it. `folder` has to be the working directory; `url` is the control plane's own HTTP.

    `variables` are set in every container. `credentials` are the valid `Modal-Key` and `Modal-Secret`.
    """

    def __init__(self, folder: Path, url: str, variables: Mapping[str, str], credentials: tuple[str, str]) -> None:
        self._gates = folder / "gates"
        self._gates.mkdir()
        self._servers: list[asyncio.Server] = []
        self._reach: set[int] = set()
        self.record = Record()
        ids = Ids()
        self.registry = Registry(ids)
        self.content = Content(folder / "content", ids)
        self.images = Images(self.content, ids)
        self.secrets = Secrets(ids)
        self.volumes = Volumes(folder / "volumes", self.content, ids, url)
        self.front = Front(self._pool, *credentials)
        functions = FunctionService(self.registry, self.front)
        self.fleet = Fleet(
            folder=folder / "containers",
            registry=self.registry,
            images=self.images,
            secrets=self.secrets,
            volumes=self.volumes,
            record=self.record,
            reach=self._reach,
            variables=variables,
            layout=functions.layout,
            endpoint=self._endpoint,
            pools={},
        )
        self._calls = CallService(self.registry, self.fleet)
        self._shared = [
            AppService(self.registry, functions, self.fleet),
            functions,
            self._calls,
            self.images,
            self.secrets,
            self.volumes,
            BlobService(self.content, url),
            TaskService(self.fleet),
        ]

    async def serve(self) -> str:
        """Serve gRPC on 127.0.0.1 at a free port; gives the URL that clients are configured with."""
        # Named by its protocol, or asyncio would not set TCP_NODELAY: a call's first item came 40 ms late.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.bind((LOOPBACK, 0))
        await Server([Endpoint(self._shared, self.record)]).start(sock=listener)
        return "http://{}:{}".format(*listener.getsockname())

    async def let_reach(self, port: int) -> None:
        """Let containers that start from now on reach that port of this machine's 127.0.0.1, as their own."""
        if port in self._reach:
            return
        forward = forwarding(lambda: asyncio.open_connection(LOOPBACK, port))
        self._servers.append(await asyncio.start_unix_server(forward, f"gates/{port}"))
        self._reach.add(port)

    def state(self) -> dict[str, Any]:
        """Everything, as JSON."""
        describe = Describe(self.images, self.secrets, self.volumes)
        apps = [
            {
                "id": app.id,
                "name": app.name,
                "state": app.state,
                "version": app.version,
                "functions": {
                    name: describe.definition(self.registry.definition(function_id), self.front.url(function_id))
                    for name, function_id in app.functions.items()
                },
                "classes": sorted(app.classes),
            }
            for app in self.registry.apps.values()
        ]
        return {
            "apps": apps,
            "containers": [describe.container(container) for container in self.fleet.all()],
            "pools": {function_id: describe.pool(pool) for function_id, pool in self.fleet.pools.items()},
            "volumes": {name: str(folder.resolve()) for name, folder in self.volumes.folders().items()},
            "rpcs": dict(self.record.rpcs),
            "problems": self.record.problems,
        }

    def _pool(self, function_id: str) -> Pool:
        return self.fleet.pool(function_id)

    def _endpoint(self, container: Container, pool: Pool) -> Endpoint:
        own = ContainerService(container, pool, self._calls, self.fleet)
        return Endpoint([own, *self._shared], self.record)
