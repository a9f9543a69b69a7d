"""The containers of one function, and the inputs that wait for them.

As many containers as the work needs by the definition's own numbers, at once: Modal's windows and rates of
scaling are its own. An input goes to the least loaded of the containers that ask for one.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from math import ceil

from modal_proto import api_pb2 as pb

from tests.control_plane.call import Input, Status
from tests.control_plane.container import Container, State
from tests.control_plane.definition import Definition
from tests.control_plane.rpc import Refusal

MAX_QUEUE = 2_000  # inputs
MAX_DELIVERIES = 4  # of one input
MAX_CRASHES = 3  # on end, before those who wait get to know
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 15.0  # between crashes

Start = Callable[["Pool"], None]


class Pool:
    """One function's, or one variant's. `start` adds a container that starts."""

    def __init__(self, definition: Callable[[], Definition], start: Start, now: Callable[[], float]) -> None:
        self._definition = definition
        self._start = start
        self._now = now
        self._queue: deque[Input] = deque()
        self._asking: dict[Container, tuple[int, asyncio.Future[list[Input]]]] = {}
        self._crashes = 0
        self._not_before = 0.0
        self._later: asyncio.TimerHandle | None = None
        self.containers: dict[str, Container] = {}
        self.closed = False

    @property
    def definition(self) -> Definition:
        """The version in force."""
        return self._definition()

    @property
    def queued(self) -> int:
        """How many inputs wait."""
        return len(self._queue)

    @property
    def live(self) -> list[Container]:
        """Those that take work, or will."""
        return [container for container in self.containers.values() if container.live]

    def submit(self, new: Input) -> None:
        """Let an input wait for a container. Raises Refusal where too many do, or the app was stopped."""
        if self.closed:
            raise Refusal.not_found(f"the App of {self.definition.name}")
        if self.queued >= MAX_QUEUE:
            raise Refusal.exhausted(f"{MAX_QUEUE} inputs wait for {self.definition.name}")
        self._queue.append(new)
        self.scale()

    async def inputs(self, container: Container, count: int) -> list[Input]:
        """Up to so many inputs for a container, as soon as there is one. None: it is to stop."""
        waiter: asyncio.Future[list[Input]] = asyncio.get_running_loop().create_future()
        self._asking[container] = (count, waiter)
        self._hand_out()
        try:
            while container.live:
                window = self.definition.scaledown_window_s
                left = container.idle_since + window - time.monotonic() if not container.load else window
                await asyncio.wait({waiter}, timeout=max(0.0, left))
                if waiter.done():
                    return waiter.result()
                if not container.load and left <= 0 and len(self.live) > self.definition.min_containers:
                    container.state = State.STOPPING
                elif left <= 0:
                    container.touch()
        finally:
            self._asking.pop(container, None)
        return []

    def retry(self, failed: Input, status: "Status.GenericStatus.ValueType") -> bool:
        """Whether an input is to run again, as the function's `retries` say; it then does after their delay."""
        policy = self.definition.function.retry_policy
        if status != Status.GENERIC_STATUS_FAILURE or failed.failures >= policy.retries or failed.cancelled:
            return False
        delay_ms = policy.initial_delay_ms * (policy.backoff_coefficient or 1.0) ** failed.failures
        failed.failures += 1
        failed.retry_count += 1
        asyncio.get_running_loop().call_later(min(delay_ms, policy.max_delay_ms) / 1_000, self._run_again, failed)
        return True

    def cancel(self, cancelled: Input) -> None:
        """End an input: at once where it waits, by way of its container where it runs."""
        cancelled.cancelled = True
        if cancelled in self._queue:
            self._queue.remove(cancelled)
            cancelled.end(Status.GENERIC_STATUS_TERMINATED)
            return
        for container in self.containers.values():
            if cancelled.id in container.running:
                container.cancelled.set()

    def stop(self, container: Container) -> None:
        """Let it finish what it runs and end."""
        if not container.live:
            return
        if container.definition.function.is_server:
            container.terminate()
            return
        if container.state is State.STARTING:
            container.kill()
        container.state = State.STOPPING
        if container in self._asking:
            self._asking.pop(container)[1].set_result([])

    def renew(self) -> None:
        """There is a new version: stop all containers, and start what it needs."""
        self._crashes, self._not_before = 0, 0.0
        for container in self.live:
            self.stop(container)
        self.scale()

    def close(self) -> None:
        """The app was stopped: end everything."""
        self.closed = True
        self._fail(pb.GenericResult(status=Status.GENERIC_STATUS_TERMINATED, exception="the App was stopped"))
        for container in self.containers.values():
            for running in list(container.running.values()):
                running.cancelled = True
            container.kill()

    def ready(self, container: Container) -> None:
        """A container has started."""
        container.ready()
        self._crashes = 0

    def failed(self, container: Container, result: pb.GenericResult) -> None:
        """A container could not be imported or entered: those who wait get its exception."""
        container.state = State.STOPPING
        self._crashed()
        self._fail(result)

    def ended(self, container: Container) -> None:
        """A container is no more: what it ran is delivered again."""
        crashed = container.state is State.STARTING
        container.state = State.DEAD
        if waiting := self._asking.pop(container, None):
            waiting[1].cancel()
        for lost in reversed(list(container.running.values())):
            self._deliver_again(lost)
        container.running.clear()
        if crashed:
            self._crashed()
            if self._crashes >= MAX_CRASHES:
                status = Status.GENERIC_STATUS_INTERNAL_FAILURE
                self._fail(pb.GenericResult(status=status, exception=f"{MAX_CRASHES} containers died starting"))
        self.scale()

    def scale(self, at_least: int = 0) -> None:
        """Hand out what waits, and start the containers that are missing."""
        self._hand_out()
        if self.closed or self._now() < self._not_before:
            self._try_later()
            return
        wanted = max(self._wanted(), min(at_least, self.definition.max_containers))
        for _ in range(wanted - len(self.live)):
            self._start(self)

    async def stop_when_idle(self, container: Container) -> None:
        """Stop a server that has had no request for the definition's window."""
        while container.live:
            window = self.definition.scaledown_window_s
            left = container.idle_since + window - time.monotonic() if not container.load else window
            if left <= 0 and len(self.live) > self.definition.min_containers:
                self.stop(container)
            else:
                await asyncio.sleep(left if left > 0 else window)

    def _wanted(self) -> int:
        definition = self.definition
        work = self.queued + sum(container.load for container in self.live)
        needed = ceil(work / definition.target_inputs) if definition.target_inputs else min(work, 1)
        wanted = max(needed + (definition.buffer_containers if work else 0), definition.min_containers)
        return min(wanted, definition.max_containers)

    def _hand_out(self) -> None:
        while self._queue and self._asking:
            container = min(self._asking, key=lambda each: each.load)
            count, waiter = self._asking.pop(container)
            if waiter.done():
                continue
            taken = [self._queue.popleft() for _ in range(min(count, len(self._queue)))]
            for each in taken:
                container.take(each)
            waiter.set_result(taken)

    def _deliver_again(self, lost: Input) -> None:
        if lost.cancelled:
            lost.end(Status.GENERIC_STATUS_TERMINATED)
        elif lost.retry_count + 1 >= MAX_DELIVERIES:
            exception = f"the container died in each of {MAX_DELIVERIES} deliveries of the input"
            lost.end(Status.GENERIC_STATUS_INTERNAL_FAILURE, exception)
        elif not lost.done:
            lost.retry_count += 1
            self._queue.appendleft(lost)

    def _run_again(self, failed: Input) -> None:
        if failed.cancelled or self.closed:
            failed.end(Status.GENERIC_STATUS_TERMINATED)
            return
        self._queue.append(failed)
        self.scale()

    def _fail(self, result: pb.GenericResult) -> None:
        while self._queue:
            self._queue.popleft().put(pb.FunctionPutOutputsItem(result=result))

    def _crashed(self) -> None:
        self._crashes += 1
        pause = min(FIRST_PAUSE_S * 2 ** (self._crashes - 1), LONGEST_PAUSE_S)
        self._not_before = self._now() + pause

    def _try_later(self) -> None:
        if self._later is None and not self.closed:
            self._later = asyncio.get_running_loop().call_later(self._not_before - self._now() + 0.01, self._try_now)

    def _try_now(self) -> None:
        self._later = None
        self.scale()
