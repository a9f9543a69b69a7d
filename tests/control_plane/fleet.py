"""All pools, and how their containers are made."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from modal_proto import api_pb2 as pb

from tests.control_plane import container as containers
from tests.control_plane.container import Container
from tests.control_plane.images import Images
from tests.control_plane.inside.plan import Mounted, Plan
from tests.control_plane.pool import Pool
from tests.control_plane.record import Record
from tests.control_plane.registry import App, Registry
from tests.control_plane.rpc import Endpoint, Refusal
from tests.control_plane.secrets import Secrets
from tests.control_plane.volumes import Volumes

MAX_CONTAINERS = 32  # at one time, on this machine


@dataclass(slots=True)
class Fleet:
    """The pools by the id of their function. `endpoint` makes what a container talks to."""

    folder: Path
    registry: Registry
    images: Images
    secrets: Secrets
    volumes: Volumes
    record: Record
    reach: set[int]
    variables: Mapping[str, str]
    layout: Callable[[App], pb.AppLayout]
    endpoint: Callable[[Container, Pool], Endpoint]
    pools: dict[str, Pool]

    def pool(self, function_id: str) -> Pool:
        """The function's, which may still be empty. Raises Refusal for an unknown function."""
        if function_id not in self.pools:
            self.registry.definition(function_id)
            self.pools[function_id] = Pool(lambda: self.registry.definition(function_id), self._start, time.monotonic)
        return self.pools[function_id]

    def container(self, container_id: str) -> tuple[Container, Pool]:
        """The container and its pool. Raises Refusal where there is none."""
        for pool in self.pools.values():
            if container_id in pool.containers:
                return pool.containers[container_id], pool
        raise Refusal.not_found(f"Container {container_id!r}")

    def all(self) -> list[Container]:
        """Every container, also those that have ended."""
        return [container for pool in self.pools.values() for container in pool.containers.values()]

    def renew(self, app: App) -> None:
        """The app was published: its functions' containers are to be of the new version."""
        for function_id in app.functions.values():
            if not self.registry.definition(function_id).function.class_parameter_info.schema:
                self.pool(function_id)  # with parameters, only variants have containers
        for function_id, pool in self._of(app).items():
            if self.registry.base(function_id) in app.functions.values():
                pool.renew()
            else:
                pool.close()

    def close(self, app: App) -> None:
        """The app was stopped."""
        for pool in self._of(app).values():
            pool.close()

    def _of(self, app: App) -> dict[str, Pool]:
        return {i: pool for i, pool in self.pools.items() if self.registry.definition(i).app_id == app.id}

    def _start(self, pool: Pool) -> None:
        if sum(container.live for container in self.all()) >= MAX_CONTAINERS:
            self.record.problem(f"more than {MAX_CONTAINERS} containers at one time")
            return
        container_id = self.registry.ids.new("ta")
        container = Container(container_id, pool.definition, self.folder / container_id)
        pool.containers[container_id] = container
        self.record.log(f"{container_id} starts for {container.definition.name}")
        container.soon(self._run(container, pool))

    async def _run(self, container: Container, pool: Pool) -> None:
        runtime = container.folder / "runtime"
        try:
            runtime.mkdir(parents=True)
            layout = self.layout(self.registry.app(container.definition.app_id))
            (runtime / "arguments").write_bytes(containers.arguments(container, layout).SerializeToString())
            await container.start(self._plan(container), self.endpoint(container, pool), pool.ended)
        except Exception as error:
            self.record.problem(f"{container.id} could not be started: {error!r}")
            pool.ended(container)

    def _plan(self, container: Container) -> Plan:
        function = container.definition.function
        return Plan(
            folder=str(container.folder),
            command=containers.command(),
            environment=containers.environment(container, self._variables(function)),
            gates=str(self.folder.parent / "gates"),
            files=self.images.files(function.image_id, list(function.mount_ids)),
            volumes=[self._mounted(mount) for mount in function.volume_mounts],
            kept=containers.kept(),
            masked=containers.masked(),
            reach=sorted(self.reach),
            port=function.http_config.port or None,
        )

    def _variables(self, function: pb.Function) -> dict[str, str]:
        variables = {**self.variables, **self.images.environment(function.image_id)}
        for secret_id in function.secret_ids:
            variables |= self.secrets.values(secret_id)
        return variables

    def _mounted(self, mount: pb.VolumeMount) -> Mounted:
        source = self.volumes.path(mount.volume_id, mount.sub_path)
        return Mounted(mount.mount_path, str(source), mount.read_only)
