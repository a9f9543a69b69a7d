"""One invocation: the event becomes a request to the app, and the app's answer goes out as it comes.

Every invocation ends with an answer, whatever the app does, and in time:

- `DISCONNECTED_S` after the Runtime API has let go of the response, an app that goes on is cancelled;
- `CANCEL_BEFORE_S` before the deadline the app is cancelled (the edge ends by itself before: see `deadline`), and
  `END_BEFORE_S` before it the response is ended here, with what can still be said.

An app that does not end of a cancellation is left alone, and logged.
"""

import asyncio
from typing import Any

import orjson
import structlog
from starlette.types import ASGIApp, Message, Scope

from functions.edge.runtime.api import FunctionError, Given, ResponseRefused, RuntimeApi, RuntimeApiFailed
from functions.edge.runtime.context import LambdaContext
from functions.edge.runtime.event import NoRequest, read_event
from functions.edge.runtime.response import LambdaResponse
from penstock.clock import SECOND
from penstock.errors import ApiError, DeadlineExceeded, Internal, Unavailable

DISCONNECTED_S = 1.0
# The edge itself has answered a second before the deadline.
CANCEL_BEFORE_S = 0.7
END_BEFORE_S = 0.3
GRACE_S = 2.0  # for an app that was cancelled before its deadline

log = structlog.get_logger()


async def invoke(app: ASGIApp, api: RuntimeApi, given: Given, state: dict[str, Any]) -> None:
    """Run one invocation to its end. `state` is the lifespan's. Raises RuntimeApiFailed."""
    context = LambdaContext.of(given)
    try:
        scope, body = _request(given.event, context)
    except NoRequest as error:
        log.error("event_refused", aws_request_id=given.request_id, reason=str(error))
        await api.fail(given.request_id, FunctionError("Runtime.NoRequest", str(error)))
        return
    await _Invocation(app, api, context, {**scope, "state": state.copy()}, body).run()


def _request(event: bytes, context: LambdaContext) -> tuple[Scope, bytes]:
    try:
        return read_event(orjson.loads(event), context)
    except orjson.JSONDecodeError as error:
        raise NoRequest("the event is not JSON") from error


class _Invocation:
    """A request on its way through the app."""

    def __init__(self, app: ASGIApp, api: RuntimeApi, context: LambdaContext, scope: Scope, body: bytes) -> None:
        self._app = app
        self._api = api
        self._context = context
        self._scope = scope
        self._body: bytes | None = body
        self._over = asyncio.Event()
        self._late = self._stopping = False
        # A Function URL knows no headers with several values; a REST API, and an HTTP API of old, do.
        multi_value = scope["aws.event"].get("version") != "2.0"
        self._response = LambdaResponse(api, context.aws_request_id, method=scope["method"], multi_value=multi_value)
        self._log = log.bind(aws_request_id=context.aws_request_id)

    async def run(self) -> None:
        """Serve it. Cancelled is the end of the process: the app is cancelled too, and its answer ended."""
        answering = asyncio.create_task(self._answer())
        losing = asyncio.create_task(self._response.lost())
        try:
            await asyncio.wait({answering, losing}, timeout=self._until(CANCEL_BEFORE_S), return_when="FIRST_COMPLETED")
            if losing.done():
                self._over.set()
                await asyncio.wait({answering}, timeout=min(DISCONNECTED_S, self._until(CANCEL_BEFORE_S)))
            self._late = not answering.done() and not losing.done()
        except asyncio.CancelledError:
            self._stopping = True
            raise
        finally:
            await self._cancel(answering)
            losing.cancel()
            await self._conclude(answering)

    async def _answer(self) -> None:
        await self._app(self._scope, self._receive, self._send)

    async def _receive(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._over.wait()  # Lambda tells nobody of a client that has gone
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        await self._response.send(message)
        if self._response.ended:
            self._over.set()

    async def _cancel(self, answering: "asyncio.Task[None]") -> None:
        if answering.done():
            return
        answering.cancel()
        await asyncio.wait({answering}, timeout=self._until(END_BEFORE_S) if self._late else GRACE_S)
        if not answering.done():
            self._log.error("app_goes_on", reason="it does not end when it is cancelled")
            answering.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def _conclude(self, answering: "asyncio.Task[None]") -> None:
        """See to it that there is an answer, and that it is ended. Raises RuntimeApiFailed."""
        error, kind = self._failure(answering)
        try:
            async with asyncio.timeout(max(self._until(0), END_BEFORE_S)):
                if not self._response.begun:
                    await self._response.refuse(error)
                elif not self._response.ended and self._response.refusal is None:
                    await self._response.break_off(error, FunctionError(kind, error.message))
        except ResponseRefused:
            pass  # it is noted
        except TimeoutError:
            self._log.warning("response_cut", reason="the Runtime API did not take it in time")
            self._api.close()
        if isinstance(self._response.refusal, RuntimeApiFailed):
            raise self._response.refusal
        if self._response.refusal is not None:
            self._log.warning("response_refused", reason=str(self._response.refusal))
            self._api.close()

    def _failure(self, answering: "asyncio.Task[None]") -> tuple[ApiError, str]:
        """What is to be said where the app has not answered, or not to the end, and its type for Lambda."""
        crash = answering.exception() if answering.done() and not answering.cancelled() else None
        if crash is not None and self._response.refusal is None:
            self._log.error("app_crashed", exc_info=crash)
        if self._late:
            self._log.warning("deadline_exceeded", begun=self._response.begun, ended=self._response.ended)
            return DeadlineExceeded("The function's time is over."), "Runtime.DeadlineExceeded"
        if self._stopping:
            return Unavailable("The edge is stopping.", code="edge_stopping"), "Runtime.Stopping"
        if crash is None and not self._response.ended and self._response.refusal is None:
            self._log.error("app_ended", reason="it has not answered to the end")
        kind = "NoAnswer" if crash is None else type(crash).__name__
        return Internal("Something went wrong on our side."), f"Runtime.{kind}"

    def _until(self, before: float) -> float:
        """The seconds until so many before the deadline."""
        return max(self._context.get_remaining_time_in_millis() / SECOND - before, 0)
