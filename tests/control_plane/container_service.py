"""The RPCs that a container makes: it asks for inputs and says what came of them.

Everything is about the one container at the other end of the socket, which has shown who it is by that.
"""

import asyncio
from contextlib import suppress

from modal_proto import api_pb2 as pb

from tests.control_plane.call_service import CallService
from tests.control_plane.container import Container
from tests.control_plane.fleet import Fleet
from tests.control_plane.pool import Pool
from tests.control_plane.protobuf import Empty
from tests.control_plane.rpc import Refusal

# The client waits for 15.1 s and then beats again: an answer is due before, and little time goes by between.
HEARTBEAT_S = 14.5
KILL = pb.FunctionGetInputsItem(kill_switch=True)


class ContainerService:
    """What one container is answered."""

    def __init__(self, container: Container, pool: Pool, calls: CallService, fleet: Fleet) -> None:
        self._container = container
        self._pool = pool
        self._calls = calls
        self._fleet = fleet

    async def container_hello(self, _: Empty) -> Empty:
        """It says so once it runs."""
        return Empty()

    async def container_heartbeat(self, _: pb.ContainerHeartbeatRequest) -> pb.ContainerHeartbeatResponse:
        """The inputs that were cancelled, at once; nothing after a while.

        They are named until they end: a container does not know an input yet that is on the way to it.
        """
        if not self._cancelled():
            self._container.cancelled.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._container.cancelled.wait(), HEARTBEAT_S)
        cancelled = self._cancelled()
        event = pb.CancelInputEvent(input_ids=cancelled) if cancelled else None
        return pb.ContainerHeartbeatResponse(cancel_input_event=event)

    async def function_get_inputs(self, request: pb.FunctionGetInputsRequest) -> pb.FunctionGetInputsResponse:
        """The next inputs, or the message to take no more."""
        self._pool.ready(self._container)
        inputs = await self._pool.inputs(self._container, max(1, request.batch_max_size))
        return pb.FunctionGetInputsResponse(inputs=[each.as_item() for each in inputs] or [KILL])

    async def function_put_outputs(self, request: pb.FunctionPutOutputsRequest) -> Empty:
        """Outputs of inputs that this container was given last; others come too late and count for nothing."""
        for item in request.outputs:
            given = self._container.running.get(item.input_id)
            self._container.release(item.input_id)
            if given is None or given.retry_count != item.retry_count or self._pool.retry(given, item.result.status):
                continue
            given.put(item, self._container.id)
        self._pool.scale()
        return Empty()

    async def function_call_put_data_out(self, request: pb.FunctionCallPutDataRequest) -> Empty:
        """What a generator has yielded."""
        call = self._calls.call(request.function_call_id)
        if any(running.call is call for running in self._container.running.values()):
            call.add_chunks(list(request.data_chunks))
        return Empty()

    async def function_get_dynamic_concurrency(
        self, request: pb.FunctionGetDynamicConcurrencyRequest
    ) -> pb.FunctionGetDynamicConcurrencyResponse:
        """The target or, while inputs wait for which there will be no other container, the maximum."""
        full = len(self._pool.live) >= self._pool.definition.max_containers
        over = self._pool.queued and full
        concurrency = request.max_concurrency if over else request.target_concurrency
        return pb.FunctionGetDynamicConcurrencyResponse(concurrency=concurrency)

    async def task_result(self, request: pb.TaskResultRequest) -> Empty:
        """It could not be imported or entered."""
        self._pool.failed(self._container, request.result)
        return Empty()

    async def container_server_lifecycle_ready(self, _: pb.ContainerServerLifecycleReadyRequest) -> Empty:
        """A server has run its hooks; it is ready once its port accepts."""
        self._container.soon(self._accepting())
        return Empty()

    async def container_stop(self, request: pb.ContainerStopRequest) -> pb.ContainerStopResponse:
        """A container asks for no more inputs; it is this one or one of the same app's."""
        container, pool = self._fleet.container(request.task_id)
        if container.definition.app_id != self._container.definition.app_id:
            raise Refusal.not_found(f"Container {request.task_id!r}")
        pool.stop(container)
        return pb.ContainerStopResponse()

    def _cancelled(self) -> list[str]:
        return [running.id for running in self._container.running.values() if running.cancelled]

    async def _accepting(self) -> None:
        while not self._container.accepts:
            await asyncio.sleep(0.02)
        self._pool.ready(self._container)
        await self._pool.stop_when_idle(self._container)
