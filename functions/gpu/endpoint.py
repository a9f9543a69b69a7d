"""The one way in which a request is served, whatever it asks for: a ticket in, an answer out, the usage settled.

The order is a promise: nothing is read before the ticket holds, nothing is parsed before the body is the
ticket's, and nothing is answered before the lease is ours. Each step is a context that undoes itself: a
request may end anywhere, and its slot is freed and its lease settled or given back.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import structlog
from starlette.types import Receive, Scope, Send

from functions.gpu.body import read_body
from functions.gpu.delivery import Chunks, Whole, stream, whole
from functions.gpu.engine import Engine, EngineError
from functions.gpu.gate import match
from functions.gpu.generation import Generation
from functions.gpu.journal import Entry
from functions.gpu.line_tenure import LineTenure
from functions.gpu.presence import ClientGone, while_present
from functions.gpu.process import Process
from functions.gpu.refusals import REFUSALS, refusal_of
from functions.gpu.reply import Reply
from functions.gpu.service import Service, stopping
from functions.gpu.tenure import Tenure
from functions.gpu.work import Work
from penstock.clock import now_ms
from penstock.errors import ApiError, Internal
from penstock.ledger import Lease

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Job:
    """A request that was read: what the engine is to do, and how it is answered."""

    work: Work
    answer: Whole
    stream: Chunks | None = None  # the same answer, where it is to be streamed


Read = Callable[[Engine, Lease, bytes], Awaitable[Job]]
"""How a body becomes a job. Raises ApiError, and the engine's REFUSALS."""


class Endpoint:
    """A route as an ASGI app. `param` is what its callers call the part of the body that the model reads."""

    def __init__(self, process: Process, read: Read, param: str) -> None:
        self._process = process
        self._read = read
        self._param = param

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. What fails is told to the client in the way that is still open."""
        reply, entry = Reply(send), scope["penstock"]
        try:
            await self._serve(scope, receive, reply, entry)
        except ClientGone:
            entry.gone()
        except (Exception, asyncio.CancelledError) as error:
            # Cancelled is the end of the process: this task ends here too, but not without a word.
            failure = self._told(error, entry)
            entry.failed(failure)
            with suppress(ClientGone):
                await reply.fail(failure)
        finally:
            reply.close()

    async def _serve(self, scope: Scope, receive: Receive, reply: Reply, entry: Entry) -> None:
        service = self._process.service()
        with service.request():
            ticket = service.gate.admit(scope, now_ms())
            entry.admitted(ticket.lease)
            async with service.tenure(ticket.lease) as tenure:
                body = await read_body(scope, receive, service.settings.max_body_bytes)
                match(ticket, body)
                async with while_present(receive, reply.complete):
                    job = await self._read(service.engine, tenure.lease, body)
                    await _answer(job, service, tenure, reply, entry)

    def _told(self, error: BaseException, entry: Entry) -> ApiError:
        """What the client is told of an error; the log has its place in the code."""
        if isinstance(error, ApiError):
            return error
        if isinstance(error, asyncio.CancelledError):
            return stopping()
        if isinstance(error, REFUSALS):
            return refusal_of(error, self._param)
        log.error("crashed", request_id=entry.request_id, exc_info=error)
        if isinstance(error, EngineError):
            return Internal("The model failed to generate an answer.", code="engine_error")
        return Internal("Something went wrong on our side.")


async def _answer(job: Job, service: Service, tenure: Tenure | LineTenure, reply: Reply, entry: Entry) -> None:
    generation = Generation(service.engine, job.work, tenure)
    try:
        async with generation:
            await generation.taken_up()
            if job.stream is not None:
                await stream(generation, job.stream, reply, service.settings)
            else:
                await whole(generation, job.answer, reply)
    finally:
        service.cold_start.first_token(entry.begun, generation.first_token_at)
        entry.booked(tenure.outcome, tenure.booked, generation.first_token_at)
