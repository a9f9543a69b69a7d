"""`POST /v1/chat/completions`: a ticket in, an answer out, the usage settled.

The order is a promise: nothing is read before the ticket holds, nothing is parsed before the body is the
ticket's, and nothing is answered before the lease is ours. Each step is a context that undoes itself: a
request may end anywhere, and its slot is freed and its lease settled or given back.
"""

import asyncio
from contextlib import suppress

import structlog
from starlette.types import Receive, Scope, Send

from functions.gpu.answer import Answer
from functions.gpu.body import read_body
from functions.gpu.delivery import stream, whole
from functions.gpu.engine import EngineError, QueueFull
from functions.gpu.gate import match
from functions.gpu.generation import Generation
from functions.gpu.journal import Entry
from functions.gpu.presence import ClientGone, while_present
from functions.gpu.process import Process
from functions.gpu.reply import Reply
from functions.gpu.service import Service, stopping
from functions.gpu.tenure import Tenure
from functions.gpu.work import prepare
from penstock.clock import now_ms
from penstock.errors import ApiError, Internal, Unavailable
from penstock.schemas import read_chat_request

log = structlog.get_logger()


class ChatCompletions:
    """The endpoint, as an ASGI app."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. What fails is told to the client in the way that is still open."""
        reply, entry = Reply(send), scope["penstock"]
        try:
            await self._serve(scope, receive, reply, entry)
        except ClientGone:
            entry.gone()
        except (Exception, asyncio.CancelledError) as error:
            # Cancelled is the end of the process: this task ends here too, but not without a word.
            failure = _told(error, entry)
            entry.failed(failure)
            with suppress(ClientGone):
                await reply.fail(failure)

    async def _serve(self, scope: Scope, receive: Receive, reply: Reply, entry: Entry) -> None:
        service = self._process.service()
        with service.request():
            ticket = service.gate.admit(scope, now_ms())
            entry.admitted(ticket.lease)
            async with service.tenure(ticket.lease) as tenure:
                body = await read_body(scope, receive, service.settings.max_body_bytes)
                match(ticket, body)
                async with while_present(receive, reply.complete):
                    await _answer(service, tenure, body, reply, entry)


async def _answer(service: Service, tenure: Tenure, body: bytes, reply: Reply, entry: Entry) -> None:
    request = read_chat_request(body)
    work = await prepare(service.engine, request, tenure.lease)
    answer = Answer(tenure.lease, now_ms(), include_usage=request.include_usage)
    generation = Generation(service.engine, work, tenure, silence_s=service.settings.startup_budget_s)
    try:
        async with generation:
            await generation.taken_up()
            if request.stream:
                await stream(generation, answer, reply, service.settings)
            else:
                await whole(generation, answer, reply)
    finally:
        entry.booked(tenure.outcome, tenure.booked, generation.first_token_at)


def _told(error: BaseException, entry: Entry) -> ApiError:
    """What the client is told of an error; the log has its place in the code."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, asyncio.CancelledError):
        return stopping()
    if isinstance(error, QueueFull):
        return Unavailable("As many requests are waiting for the model as may.", code="queue_full")
    log.error("crashed", request_id=entry.request_id, exc_info=error)
    if isinstance(error, EngineError):
        return Internal("The model failed to generate an answer.", code="engine_error")
    return Internal("Something went wrong on our side.")
