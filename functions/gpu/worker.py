"""The worker: takes orders for shards of batches, and works them off with the model of its process.

An order is carried out once, however often it is given, and to however many workers: what was done of a shard stands
in its log (functions.gpu.shards.shard_log), and whoever takes it up last goes on with it. A shard that is finished has
a mark that says what it came to. Which shards there are, who works on them and what becomes of their results is
`functions.batch`'s business. It knows nothing of the platform that it runs on.
"""

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakValueDictionary

import orjson
import structlog
from starlette.types import ASGIApp

from functions.gpu.process import Process
from functions.gpu.service import stopping
from functions.gpu.shards.answers import Answers
from functions.gpu.shards.attempt import Attempt
from functions.gpu.shards.capacity import Capacity
from functions.gpu.shards.line import read_shard
from functions.gpu.shards.shard_log import Fenced, ShardLog
from penstock.batches.addresses import shard_done, shard_input
from penstock.batches.log import Closed
from penstock.batches.orders import Order, Outcome, ShardLine
from penstock.errors import BadRequest, Conflict, NotFound, Unavailable
from penstock.models import ConfigError
from penstock.objects import Missing, Objects, ObjectsUnavailable, open_objects

CLOSE_WITHIN_S = 15.0  # for what runs to be written down

log = structlog.get_logger()


class Worker:
    """One process's. It works on as many shards at once as it has orders; their lines share its places."""

    def __init__(self, app: ASGIApp, process: Process, objects: Objects) -> None:
        self._process = process
        self._objects = objects
        self._answers = Answers(app, process)
        self._capacity = Capacity.of(process.service().settings)
        self._attempts: set[Attempt] = set()
        self._orders: set[asyncio.Task[object]] = set()
        self._open = True
        # One order for a shard at a time: of the same line there is one at a time in a process.
        self._turns: WeakValueDictionary[tuple[str, int], asyncio.Lock] = WeakValueDictionary()

    async def run(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out an order (`penstock.batches.orders`), and give what the shard has come to.

        Where it leaves no mark the order is to be given again later: the service is switched off, say, or this
        process is to end. Raises ApiError: BadRequest for what is no order, NotFound where its batch is over, Conflict
        where another worker has the shard, Unavailable or Internal where something failed. Cancelling it leaves the
        shard to another worker.
        """
        read = self._read(order)
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 (an order runs in a task)
        self._orders.add(task)
        turn = self._turns.setdefault((read.batch_id, read.shard), asyncio.Lock())
        try:
            async with turn:
                return (await self._finished(read) or await self._carried_out(read)).written()
        except ObjectsUnavailable as error:
            raise Unavailable("Object storage cannot be reached.", code="objects_unavailable") from error
        except Fenced:
            raise Conflict(
                "Another worker has taken this shard over, or its batch is over.", code="shard_taken"
            ) from None
        finally:
            self._orders.discard(task)

    async def close(self) -> None:
        """Take no more orders, and leave what is under way to other workers, with what was done of it."""
        self._open = False
        for attempt in self._attempts:
            attempt.leave()
        if self._orders:
            await asyncio.wait(self._orders, timeout=CLOSE_WITHIN_S)
        for order in self._orders:
            order.cancel()
        await self._objects.close()

    def _read(self, order: Mapping[str, Any]) -> Order:
        try:
            read = Order.read(order)
        except ValueError as error:
            raise BadRequest(f"This is no order for a shard: {error}.") from None
        service = self._process.service()
        if not self._open:
            raise stopping()
        if read.model != service.model.name:
            raise BadRequest(f"This worker has the model {service.model.name!r}, not {read.model!r}.", param="model")
        return read

    async def _finished(self, order: Order) -> Outcome | None:
        try:
            return Outcome.read(orjson.loads(await self._objects.get(shard_done(order.batch_id, order.shard))))
        except Missing:
            return None
        except ValueError:
            log.error("mark_unreadable", batch=order.batch_id, shard=order.shard)
            return None  # the log says the same

    async def _carried_out(self, order: Order) -> Outcome:
        lines = await self._lines(order)
        shard_log = ShardLog(self._objects, order.batch_id, order.shard)
        await shard_log.take_up(secrets.token_hex(8))
        history = shard_log.history
        facts = {"batch": order.batch_id, "shard": order.shard, "attempt": history.attempts}
        log.info("shard_begun", **facts, lines=len(lines), done=len(history.done))
        finished = history.closed or await self._attempted(order, lines, shard_log)
        if finished and not history.closed:
            await shard_log.add(Closed())
        outcome = Outcome(history.completed, history.failed, history.usage)
        if finished:
            await self._objects.put(shard_done(order.batch_id, order.shard), orjson.dumps(outcome.written()))
        log.info("shard_over", **facts, finished=finished, completed=outcome.completed, failed=outcome.failed)
        return outcome

    async def _lines(self, order: Order) -> Sequence[ShardLine]:
        try:
            return read_shard(await self._objects.get(shard_input(order.batch_id, order.shard)))
        except Missing:
            raise NotFound(f"There is no shard {order.shard} of {order.batch_id}, or its batch is over.") from None
        except ValueError as error:
            raise BadRequest(f"Shard {order.shard} of {order.batch_id} cannot be read: {error}.") from None

    async def _attempted(self, order: Order, lines: Sequence[ShardLine], shard_log: ShardLog) -> bool:
        attempt = Attempt(
            order,
            lines,
            shard_log,
            service=self._process.service(),
            answers=self._answers,
            objects=self._objects,
            capacity=self._capacity,
        )
        self._attempts.add(attempt)
        if not self._open:
            attempt.leave()
        try:
            return await attempt.run()
        finally:
            self._attempts.discard(attempt)


async def open_worker(app: ASGIApp, process: Process) -> Worker:
    """A worker of a process that has started. Raises ConfigError, ObjectsUnavailable."""
    url = process.service().settings.objects_url
    if url is None:
        raise ConfigError("PENSTOCK_OBJECTS_URL: not set; without it there are no batches to work on")
    return Worker(app, process, await open_objects(url))
