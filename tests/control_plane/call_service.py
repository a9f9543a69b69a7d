"""The RPCs by which a client calls a function, and gets or gives up what comes of it."""

from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable

from modal_proto import api_pb2 as pb

from tests.control_plane.call import Call, Input
from tests.control_plane.fleet import Fleet
from tests.control_plane.protobuf import Empty
from tests.control_plane.registry import Registry
from tests.control_plane.rpc import Refusal

MAX_CALLS = 5_000  # kept; the oldest that is finished is forgotten first
MAX_OUTSTANDING = 1_000  # inputs of one map
HOLD_S = 55.0  # how long a stream without items stays open


class CallService:
    """The calls by their id."""

    def __init__(self, registry: Registry, fleet: Fleet) -> None:
        self._registry = registry
        self._fleet = fleet
        self._calls: OrderedDict[str, Call] = OrderedDict()

    async def function_map(self, request: pb.FunctionMapRequest) -> pb.FunctionMapResponse:
        """Begin a call, with its input where it has only one."""
        definition = self._registry.definition(request.function_id)
        call = Call(self._registry.ids.new("fc"), request.function_id, request.function_call_invocation_type)
        self._keep(call)
        inputs = self._submit(call, request.pipelined_inputs)
        return pb.FunctionMapResponse(
            function_call_id=call.id,
            function_call_jwt=call.id,
            pipelined_inputs=inputs,
            retry_policy=definition.function.retry_policy,
            max_inputs_outstanding=MAX_OUTSTANDING,
        )

    async def function_put_inputs(self, request: pb.FunctionPutInputsRequest) -> pb.FunctionPutInputsResponse:
        """Add inputs."""
        call = self.call(request.function_call_id)
        return pb.FunctionPutInputsResponse(inputs=self._submit(call, request.inputs))

    async def function_finish_inputs(self, request: pb.FunctionFinishInputsRequest) -> Empty:
        """There will be no more."""
        self.call(request.function_call_id)
        return Empty()

    async def function_get_outputs(self, request: pb.FunctionGetOutputsRequest) -> pb.FunctionGetOutputsResponse:
        """Outputs as they come, by the place in their order or by the index of their input."""
        call = self.call(request.function_call_id)
        outputs = await call.wait_for(request)
        return pb.FunctionGetOutputsResponse(
            outputs=outputs,
            idxs=[output.idx for output in outputs],
            last_entry_id=f"{len(call.outputs)}-0",
            num_unfinished_inputs=call.unfinished,
        )

    async def function_call_get_data_out(self, request: pb.FunctionCallGetDataRequest) -> AsyncIterator[pb.DataChunk]:
        """What a generator yields, as it does."""
        async for chunk in self.call(request.function_call_id).stream(request.last_index, HOLD_S):
            yield chunk

    async def function_call_from_id(self, request: pb.FunctionCallFromIdRequest) -> pb.FunctionCallFromIdResponse:
        """What call it is."""
        call = self.call(request.function_call_id)
        app_id = self._registry.definition(call.function_id).app_id
        metadata = pb.FunctionCallHandleMetadata(function_id=call.function_id, app_id=app_id)
        return pb.FunctionCallFromIdResponse(function_call_id=call.id, num_inputs=len(call.inputs), metadata=metadata)

    async def function_call_cancel(self, request: pb.FunctionCallCancelRequest) -> Empty:
        """End its inputs, and the containers that run them where the request says so."""
        call = self.call(request.function_call_id)
        pool = self._fleet.pool(call.function_id)
        for each in [each for each in call.inputs.values() if not each.done]:
            pool.cancel(each)
            for container in pool.containers.values():
                if request.terminate_containers and each.id in container.running:
                    container.kill()
        return Empty()

    def call(self, call_id: str) -> Call:
        """Raises Refusal where there is none."""
        if call_id not in self._calls:
            raise Refusal.not_found(f"FunctionCall {call_id!r}")
        return self._calls[call_id]

    def _submit(self, call: Call, items: Iterable[pb.FunctionPutInputsItem]) -> list[pb.FunctionPutInputsResponseItem]:
        pool = self._fleet.pool(call.function_id)
        answers = []
        for item in items:
            new = Input(self._registry.ids.new("in"), call, item.idx, item.input)
            pool.submit(new)
            call.inputs[item.idx] = new
            answers.append(pb.FunctionPutInputsResponseItem(idx=item.idx, input_id=new.id, input_jwt=new.id))
        return answers

    def _keep(self, call: Call) -> None:
        self._calls[call.id] = call
        if len(self._calls) > MAX_CALLS:
            forgotten = next((each for each in self._calls.values() if not each.unfinished), None)
            if forgotten is None:
                raise Refusal.exhausted(f"{MAX_CALLS} calls are running")
            del self._calls[forgotten.id]
