"""The RPCs by which a client lists and stops containers."""

from modal_proto import api_pb2 as pb

from tests.control_plane.container import State
from tests.control_plane.fleet import Fleet


class TaskService:
    """Containers, as a client sees them."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    async def task_list(self, request: pb.TaskListRequest) -> pb.TaskListResponse:
        """Those that have not ended."""
        containers = [
            each
            for each in self._fleet.all()
            if each.state is not State.DEAD and request.app_id in ("", each.definition.app_id)
        ]
        tasks = [
            pb.TaskStats(
                task_id=each.id,
                app_id=each.definition.app_id,
                started_at=each.ready_at or 0.0,
                enqueued_at=each.started_at,
            )
            for each in containers
        ]
        return pb.TaskListResponse(tasks=tasks)

    async def container_stop(self, request: pb.ContainerStopRequest) -> pb.ContainerStopResponse:
        """It takes no more inputs and ends."""
        container, pool = self._fleet.container(request.task_id)
        pool.stop(container)
        return pb.ContainerStopResponse()
