"""One attempt at a shard: slice after slice is begun, until all lines are done or something ends it.

The next slice is begun as soon as every line of those before has a place, and there is one more: so the engine never
waits for a line, whatever a slice's last lines take, and few slices are under way at once.
"""

import asyncio
from collections.abc import Awaitable, Sequence

import structlog

from functions.gpu.service import Service
from functions.gpu.shards.admission import Admission, Chosen, Told, Wait
from functions.gpu.shards.answers import Answers, Broken
from functions.gpu.shards.capacity import Capacity
from functions.gpu.shards.ending import Ending, Why
from functions.gpu.shards.giving_back import give_back
from functions.gpu.shards.line import refused
from functions.gpu.shards.shard_log import Fenced, ShardLog
from functions.gpu.shards.slice import Running, Slice
from functions.gpu.shards.slices import Group, Slices
from penstock.batches.addresses import stop
from penstock.batches.log import Begun, Ended, Result
from penstock.batches.orders import Order, ShardLine
from penstock.clock import SECOND, now_ms
from penstock.errors import ApiError, Conflict, Internal, Unavailable
from penstock.ledger import Lease, Usage
from penstock.objects import Objects, ObjectsUnavailable

LOOK_EVERY_S = 2.0  # whether the batch was stopped
FULL_S = 1.0  # where too many settlements wait for the ledger
LEAVE_WITHIN_S = 5.0  # where the call is cancelled: to write down what has ended
SETTLE_AT_ONCE = 16

log = structlog.get_logger()


class Attempt:
    """This worker's attempt at one shard, whose log it has taken up."""

    def __init__(
        self,
        order: Order,
        lines: Sequence[ShardLine],
        shard_log: ShardLog,
        *,
        service: Service,
        answers: Answers,
        objects: Objects,
        capacity: Capacity,
    ) -> None:
        self._order = order
        self._lines = len(lines)
        self._in_slice = capacity.in_slice(len(lines))
        self._log = shard_log
        self._service = service
        self._objects = objects
        self._capacity = capacity
        self._ending = Ending()
        self._slices = Slices(lines, shard_log.history)
        self._admission = Admission(service, order, shard_log.history.attempts)
        self._running = Running(shard_log, answers, service.bookkeeper, capacity, self._ending)
        self._under_way: set[asyncio.Task[None]] = set()
        self._latest: Slice | None = None

    def leave(self) -> None:
        """Begin no more, write down what has ended, and leave the rest to another worker."""
        self._ending.come(Why.LEFT)

    async def run(self) -> bool:
        """Work until every line is done, or until the batch is stopped or has expired.

        False where it ended before, in order: the service is switched off, or this process is to end. Raises ApiError
        where something failed, or another worker has the shard. Cancelling it is leaving.
        """
        working = asyncio.create_task(self._work())
        try:
            await asyncio.shield(working)
        except asyncio.CancelledError:
            self.leave()
            await asyncio.wait({working}, timeout=LEAVE_WITHIN_S)
            for task in (*self._under_way, working):
                task.cancel()
            await asyncio.wait({working})
            raise
        return self._finished()

    async def _work(self) -> None:
        looking = asyncio.create_task(self._look())
        try:
            await self._settle_earlier()
            await self._begin_all()
        except Exception as error:
            self._fail(error)
        finally:
            while self._under_way:
                await asyncio.wait(set(self._under_way))
            looking.cancel()
            await asyncio.wait({looking})

    async def _settle_earlier(self) -> None:
        """Book what earlier attempts did, and give back what they had set aside and did not come to use."""
        history, book = self._log.history, self._service.bookkeeper
        places = asyncio.Semaphore(SETTLE_AT_ONCE)

        async def one(writing: Awaitable[object]) -> None:
            async with places:
                await writing

        owed = [book.settle(lease, usage, "completed") for lease, usage in history.owed.values()]
        await asyncio.gather(*map(one, [*owed, *(give_back(book, lease) for lease in history.lost)]))

    async def _begin_all(self) -> None:
        await self._look_once()
        await self._give_up_poison()
        while not self._ending and (group := self._slices.next(self._in_slice)) is not None:
            if self._service.bookkeeper.full:
                await self._ending.within(FULL_S)
                continue
            done = await self._begin(group)
            if isinstance(done, Told):
                await self._tell(done.results)
                self._slices.take(len(done.results))
            elif done is not None:
                await self._ending.within(done.seconds)

    async def _begin(self, group: Group) -> Wait | Told | None:
        """Have lines of the group answered, in the background; or what is to be done instead."""
        places = self._capacity.most if group.suspects else 1
        if not await self._ending.unless(self._find(places)):
            return None
        begun = False
        try:
            chosen = await self._admission.choose(group)
            if not isinstance(chosen, Chosen):
                return chosen
            lease = await self._admission.reserve(chosen)
            if not isinstance(lease, Lease):
                return lease
            begun = await self._written(chosen, lease, alone=group.suspects)
            return None
        finally:
            if not (begun and group.suspects):
                self._capacity.give(places)

    async def _find(self, places: int) -> None:
        """Wait until every line that was begun has its place, and then for so many more."""
        if self._latest is not None:
            await self._latest.placed.wait()
        await self._capacity.take(places)

    async def _written(self, chosen: Chosen, lease: Lease, *, alone: bool) -> bool:
        """Write down that the slice is begun, and begin it; False where the end has come meanwhile."""
        if self._ending:
            await give_back(self._service.bookkeeper, lease)
            return False
        number = self._log.history.next_slice
        try:
            await self._log.add(Begun(number, tuple(line.number for line in chosen.lines), lease))
        except (Fenced, ObjectsUnavailable):
            await give_back(self._service.bookkeeper, lease)
            raise
        self._slices.take(len(chosen.lines) + len(chosen.told))
        self._latest = Slice(number, chosen.lines, chosen.told, lease, alone)
        running = asyncio.create_task(self._running.run(self._latest))
        self._under_way.add(running)
        running.add_done_callback(self._slice_over)
        return True

    def _slice_over(self, running: "asyncio.Task[None]") -> None:
        self._under_way.discard(running)
        if not running.cancelled() and isinstance(error := running.exception(), Exception):
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        """Something went wrong, and this attempt is over: at once, or, where nobody is served now, after what runs."""
        if isinstance(error, Fenced):
            self._ending.come(Why.LOST)
        elif isinstance(error, Unavailable):
            log.warning("shard_left", batch=self._order.batch_id, shard=self._order.shard, code=error.code)
        else:
            if not isinstance(error, Broken | ObjectsUnavailable):
                log.error("shard_crashed", batch=self._order.batch_id, shard=self._order.shard, exc_info=error)
            self._ending.come(Why.FAILED, error)

    async def _give_up_poison(self) -> None:
        history = self._log.history
        for line in self._slices.poison:
            number = line["line"]
            error = Internal(
                f"The line was given up: its worker died {history.deaths[number]} times while it was under way, "
                f"{history.alone[number]} of them while nothing else was.",
                code="line_failed",
            )
            await self._tell([refused(line, self._order.batch_id, error)])

    async def _tell(self, results: Sequence[Result]) -> None:
        await self._log.add(Ended(self._log.history.next_slice, None, Usage(), tuple(results)))

    async def _look(self) -> None:
        """See now and then whether the batch was stopped, and when it expires."""
        while not self._ending:
            left_s = (self._order.expires_at - now_ms()) / SECOND
            await self._ending.within(min(LOOK_EVERY_S, max(left_s, 0)))
            await self._look_once()

    async def _look_once(self) -> None:
        if now_ms() >= self._order.expires_at:
            self._ending.come(Why.EXPIRED)
        try:
            if await self._objects.size(stop(self._order.batch_id)) is not None:
                self._ending.come(Why.STOPPED)
        except ObjectsUnavailable:
            log.warning("stop_unknown", batch=self._order.batch_id, shard=self._order.shard)

    def _finished(self) -> bool:
        """Whether nobody is to go on. Raises ApiError."""
        why, error = self._ending.why, self._ending.error
        if why is Why.LOST:
            raise Conflict("Another worker has taken this shard over, or its batch is over.", code="shard_taken")
        if why is Why.FAILED:
            raise _failure(error) from error
        return len(self._log.history.done) == self._lines or (why is not None and why.for_good)


def _failure(error: BaseException | None) -> ApiError:
    if isinstance(error, ObjectsUnavailable):
        return Unavailable("Object storage cannot be reached.", code="objects_unavailable")
    if isinstance(error, Broken):
        return Unavailable("The model has broken down; its process is being replaced.", code="gpu_stopping")
    return Internal("Something went wrong on our side.")
