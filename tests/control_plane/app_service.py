"""The RPCs about the client, its environment and apps."""

import asyncio
import time
from collections.abc import AsyncIterator

from modal_proto import api_pb2 as pb

from tests.control_plane.container import token
from tests.control_plane.fleet import Fleet
from tests.control_plane.function_service import FunctionService
from tests.control_plane.images import BUILDER
from tests.control_plane.protobuf import Empty
from tests.control_plane.registry import App, Registry


class AppService:
    """Apps come, are published and stop."""

    def __init__(self, registry: Registry, functions: FunctionService, fleet: Fleet) -> None:
        self._registry = registry
        self._functions = functions
        self._fleet = fleet

    async def client_hello(self, _: Empty) -> pb.ClientHelloResponse:
        """Any client is welcome."""
        return pb.ClientHelloResponse(image_builder_version=BUILDER)

    async def auth_token_get(self, _: pb.AuthTokenGetRequest) -> pb.AuthTokenGetResponse:
        """A token that nobody checks."""
        return pb.AuthTokenGetResponse(token=token())

    async def environment_get_or_create(
        self, request: pb.EnvironmentGetOrCreateRequest
    ) -> pb.EnvironmentGetOrCreateResponse:
        """There is one environment, whatever it is called."""
        settings = pb.EnvironmentSettings(image_builder_version=BUILDER)
        metadata = pb.EnvironmentMetadata(name=request.deployment_name or "main", settings=settings)
        return pb.EnvironmentGetOrCreateResponse(environment_id="en-" + "1" * 22, metadata=metadata)

    async def app_create(self, request: pb.AppCreateRequest) -> pb.AppCreateResponse:
        """A new app."""
        app = self._registry.create_app(request.description, request.app_state)
        page = f"http://127.0.0.1/apps/{app.id}"  # which nobody serves
        return pb.AppCreateResponse(app_id=app.id, app_page_url=page, app_logs_url=f"{page}/logs")

    async def app_get_by_deployment_name(
        self, request: pb.AppGetByDeploymentNameRequest
    ) -> pb.AppGetByDeploymentNameResponse:
        """The deployed app of the name or, where there is none, the one stopped last."""
        app, stopped = self._registry.deployed(request.name), self._registry.stopped(request.name)
        known = app or stopped
        return pb.AppGetByDeploymentNameResponse(
            app_id=app.id if app else "",
            previous_app_id=stopped.id if stopped and not app else "",
            environment_name="main",
            lifecycle=_lifecycle(known) if known else None,
        )

    async def app_get_lifecycle(self, request: pb.AppGetLifecycleRequest) -> pb.AppGetLifecycleResponse:
        """What has become of an app."""
        return pb.AppGetLifecycleResponse(lifecycle=_lifecycle(self._registry.app(request.app_id)))

    async def app_get_layout(self, request: pb.AppGetLayoutRequest) -> pb.AppGetLayoutResponse:
        """The functions and classes of an app."""
        layout = self._functions.layout(self._registry.app(request.app_id))
        return pb.AppGetLayoutResponse(app_layout=layout)

    async def app_list(self, _: pb.AppListRequest) -> pb.AppListResponse:
        """All apps."""
        items = [
            pb.AppListResponse.AppListItem(
                app_id=app.id, description=app.name, name=app.name, state=app.state, created_at=app.created_at
            )
            for app in self._registry.apps.values()
        ]
        return pb.AppListResponse(apps=items)

    async def app_publish(self, request: pb.AppPublishRequest) -> pb.AppPublishResponse:
        """The staged definitions are in force, and containers of the version before stop."""
        app = self._registry.app(request.app_id)
        self._registry.publish(app, dict(request.function_ids), dict(request.class_ids))
        app.name, app.state = request.name or app.name, request.app_state
        deployed_at = time.time()
        await self._functions.open_servers(app)
        self._fleet.renew(app)
        return pb.AppPublishResponse(url=f"http://127.0.0.1/apps/{app.id}", deployed_at=deployed_at)

    async def app_stop(self, request: pb.AppStopRequest) -> Empty:
        """The app's containers end at once."""
        self._stop(self._registry.app(request.app_id))
        return Empty()

    async def app_client_disconnect(self, request: pb.AppClientDisconnectRequest) -> Empty:
        """A client has gone; an app that is not deployed goes with it."""
        app = self._registry.app(request.app_id)
        if app.state != pb.APP_STATE_DEPLOYED:
            self._stop(app)
        return Empty()

    async def app_heartbeat(self, _: pb.AppHeartbeatRequest) -> Empty:
        """Apps live as long as the control plane."""
        return Empty()

    async def app_get_logs(self, _: pb.AppGetLogsRequest) -> AsyncIterator[pb.TaskLogsBatch]:
        """Logs are in the containers' files; here are none."""
        await asyncio.sleep(55)
        yield pb.TaskLogsBatch()

    def _stop(self, app: App) -> None:
        app.state, app.stopped_at = pb.APP_STATE_STOPPED, time.time()
        self._fleet.close(app)


def _lifecycle(app: App) -> pb.AppLifecycle:
    return pb.AppLifecycle(
        app_state=app.state, created_at=app.created_at, version=app.version, stopped_at=app.stopped_at
    )
