"""How a pool hands out inputs and takes crashes, with containers that do not run."""

import asyncio
from pathlib import Path

import pytest
from modal_proto import api_pb2 as pb

from tests.control_plane.call import Call, Input, Status
from tests.control_plane.container import Container, State
from tests.control_plane.definition import Definition
from tests.control_plane.pool import FIRST_PAUSE_S, MAX_CRASHES, MAX_QUEUE, Pool
from tests.control_plane.rpc import Refusal

pytestmark = pytest.mark.anyio


class Harness:
    """A pool with a clock of its own, and a call that goes to it."""

    def __init__(self, function: pb.Function) -> None:
        self.now = 0.0
        self.definition = Definition("fu-1", "ap-1", function, pb.FunctionData())
        self.pool = Pool(lambda: self.definition, self._start, lambda: self.now)
        self.call = Call("fc-1", "fu-1", pb.FUNCTION_CALL_INVOCATION_TYPE_SYNC)

    @property
    def containers(self) -> list[Container]:
        """The oldest first."""
        return list(self.pool.containers.values())

    def submit(self) -> Input:
        """One more input."""
        index = len(self.call.inputs)
        new = self.call.inputs[index] = Input(f"in-{index}", self.call, index, pb.FunctionInput())
        self.pool.submit(new)
        return new

    def _start(self, pool: Pool) -> None:
        container = Container(f"ta-{len(pool.containers)}", self.definition, Path("nowhere"))
        pool.containers[container.id] = container


async def test_there_are_as_many_containers_as_the_work_needs() -> None:
    scaling = pb.AutoscalerSettings(max_containers=3, buffer_containers=1)
    harness = Harness(pb.Function(max_concurrent_inputs=4, target_concurrent_inputs=2, autoscaler_settings=scaling))
    harness.pool.scale()
    counts = [len(harness.containers)]
    for _ in range(6):
        harness.submit()
        counts.append(len(harness.containers))
    assert counts == [0, 2, 2, 3, 3, 3, 3]


async def test_the_least_loaded_container_that_asks_gets_the_next_input() -> None:
    harness = Harness(pb.Function(max_concurrent_inputs=2, autoscaler_settings=pb.AutoscalerSettings(min_containers=2)))
    harness.pool.scale()
    busy, idle = harness.containers
    for container in (busy, idle):
        harness.pool.ready(container)
    earlier = asyncio.create_task(harness.pool.inputs(busy, 1))
    await asyncio.sleep(0)
    harness.submit()
    await earlier
    asking = [asyncio.create_task(harness.pool.inputs(container, 1)) for container in (busy, idle)]
    await asyncio.sleep(0)
    later = harness.submit()
    assert await asking[1] == [later]
    harness.pool.stop(busy)
    assert await asking[0] == []


async def test_so_many_inputs_wait_and_no_more() -> None:
    harness = Harness(pb.Function(autoscaler_settings=pb.AutoscalerSettings(max_containers=1)))
    for _ in range(MAX_QUEUE):
        harness.submit()
    with pytest.raises(Refusal, match="inputs wait"):
        harness.submit()


async def test_containers_that_die_starting_are_started_again_later_and_in_the_end_fail_who_waits() -> None:
    harness = Harness(pb.Function())
    waiting = harness.submit()
    for crash in range(MAX_CRASHES):
        assert len(harness.containers) == crash + 1
        harness.pool.ended(harness.containers[-1])
        harness.pool.scale()
        assert len(harness.containers) == crash + 1  # not before the pause is over
        harness.now += FIRST_PAUSE_S * 2**crash
        harness.pool.scale()
    assert waiting.done
    assert harness.call.outputs[0].result.status == Status.GENERIC_STATUS_INTERNAL_FAILURE


async def test_an_input_that_was_cancelled_is_not_delivered_again() -> None:
    harness = Harness(pb.Function())
    running = harness.submit()
    (container,) = harness.containers
    harness.pool.ready(container)
    assert await harness.pool.inputs(container, 1) == [running]
    harness.pool.cancel(running)
    harness.pool.ended(container)
    assert container.state is State.DEAD
    assert harness.call.outputs[0].result.status == Status.GENERIC_STATUS_TERMINATED
