"""A call of a function: its inputs, and what came of them.

An input whose container dies is delivered again (`retry_count` one higher, the same id). What a generator of the
second delivery yields then takes the places of the first's items by index, counted from 1; a client skips indices
it has already seen (`_stream_function_call_data`), so it gets no item twice, and what it gets may be spliced.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from modal_proto import api_pb2 as pb

Status = pb.GenericResult


@dataclass(slots=True, eq=False)
class Input:
    """One input, and how often it was delivered before."""

    id: str
    call: "Call"
    index: int
    body: pb.FunctionInput
    retry_count: int = 0
    failures: int = 0
    cancelled: bool = False

    @property
    def done(self) -> bool:
        """Whether it has its output."""
        return self.index in self.call.outputs

    def as_item(self) -> pb.FunctionGetInputsItem:
        """As a container takes it."""
        return pb.FunctionGetInputsItem(
            input_id=self.id,
            input=self.body,
            function_call_id=self.call.id,
            function_call_invocation_type=self.call.invocation_type,
            retry_count=self.retry_count,
            function_map_idx=self.index,
        )

    def end(self, status: "Status.GenericStatus.ValueType", exception: str = "") -> None:
        """Give it an output that no container gave."""
        self.put(pb.FunctionPutOutputsItem(result=pb.GenericResult(status=status, exception=exception)))

    def put(self, item: pb.FunctionPutOutputsItem, container_id: str = "") -> None:
        """Give it its output, unless it has one."""
        if self.done:
            return
        self.call.add(
            pb.FunctionGetOutputsItem(
                result=item.result,
                idx=self.index,
                input_id=self.id,
                data_format=item.data_format,
                task_id=container_id,
                input_started_at=item.input_started_at,
                output_created_at=item.output_created_at,
                retry_count=self.retry_count,
            )
        )


@dataclass(slots=True, eq=False)
class Call:
    """One call. `outputs` are by the index of the input, in the order in which they came."""

    id: str
    function_id: str
    invocation_type: "pb.FunctionCallInvocationType.ValueType"
    inputs: dict[int, Input] = field(default_factory=dict)
    outputs: dict[int, pb.FunctionGetOutputsItem] = field(default_factory=dict)
    chunks: dict[int, pb.DataChunk] = field(default_factory=dict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def unfinished(self) -> int:
        """How many inputs have no output."""
        return len(self.inputs) - len(self.outputs)

    def add(self, output: pb.FunctionGetOutputsItem) -> None:
        """Keep an output."""
        self.outputs[output.idx] = output
        self._wake()

    def add_chunks(self, chunks: list[pb.DataChunk]) -> None:
        """Keep what a generator yielded."""
        self.chunks.update((chunk.index, chunk) for chunk in chunks)
        self._wake()

    async def wait_for(self, request: pb.FunctionGetOutputsRequest) -> list[pb.FunctionGetOutputsItem]:
        """The outputs the request asks for, as soon as there are any; none after its timeout."""
        try:
            async with asyncio.timeout(max(request.timeout, 0)):
                while not (found := self._asked_for(request)):
                    await self._change()
        except TimeoutError:
            return self._asked_for(request)
        return found

    async def stream(self, last_index: int, hold_s: float) -> AsyncIterator[pb.DataChunk]:
        """The chunks after that one as they come, until none has come for so long."""
        while True:
            try:
                async with asyncio.timeout(hold_s):
                    while not (new := sorted(index for index in self.chunks if index > last_index)):
                        await self._change()
            except TimeoutError:
                return
            for index in new:
                yield self.chunks[index]
            last_index = new[-1]

    def _asked_for(self, request: pb.FunctionGetOutputsRequest) -> list[pb.FunctionGetOutputsItem]:
        if request.HasField("start_idx"):
            return [self.outputs[i] for i in range(request.start_idx, request.end_idx + 1) if i in self.outputs]
        seen = int(request.last_entry_id.partition("-")[0] or 0)  # entries are `<number>-0`, from 1 on
        return list(self.outputs.values())[seen:]

    async def _change(self) -> None:
        await self._changed.wait()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
