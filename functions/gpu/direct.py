"""Direct calls: a request that comes without HTTP, admitted and served by the process it comes to.

    key -> validate -> admit -> ticket -> the ASGI app of this very process

What the edge does before a GPU process is asked is done here, with the same words; from the ticket on it is
the HTTP path itself, so that claims, checkpoints, settlements and refusals are the same. No route around the
ledger exists. Two things are the edge's alone: `Idempotency-Key`, and limits on guessing keys (whoever gets
here already holds the platform's own token).
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import orjson
from starlette.types import ASGIApp

from functions.gpu.caller import caller_of
from functions.gpu.passage import BrokeOff, Passage
from functions.gpu.process import Process
from functions.gpu.service import Service
from penstock import admission
from penstock.admission import request_id_of
from penstock.client.sse import SseDecoder
from penstock.clock import now_ms
from penstock.entitlement import denied, require_entitled, require_route, require_switched_on
from penstock.errors import ApiError, BadRequest, UpstreamFailed
from penstock.intakes import CHAT, COMPLETIONS, EMBEDDINGS, Intake, model_of
from penstock.ledger import AccessDenied, Lease, LedgerUnavailable, Refused
from penstock.models import ModelTable
from penstock.refusals import ledger_unavailable, no_price, refusal

# Seconds of tokens that an item of a stream gathers, at first, and at most: an item costs the platform over a
# millisecond, whatever is in it.
GATHER_S, GATHER_MOST_S = 0.05, 0.2
MAX_EVENT = 64 << 20  # bytes; as much as an answer may have
MAX_ANSWER = 64 << 20  # bytes

Chunk = dict[str, Any]  # one event of a stream, in OpenAI's shape


class Direct:
    """The way into one process's app. `app` serves with what `process` has opened."""

    def __init__(self, app: ASGIApp, process: Process) -> None:
        self._app = app
        self._process = process

    async def whole(self, request: Mapping[str, Any], *, api_key: str | None, call: str) -> dict[str, Any]:
        """The answer to a request for chat, completions or embeddings, told apart by what they ask.

        `call` names the call wherever it is delivered again: the same one is never paid twice. Raises ApiError.
        """
        if request.get("stream"):
            raise BadRequest("A whole answer does not stream; call `generate` for a stream.", param="stream")
        async with self._passage(request, api_key, call) as (passage, _):
            await _require_good(passage)
            answer: dict[str, Any] = orjson.loads(await passage.body(MAX_ANSWER))
            return answer

    async def stream(
        self, request: Mapping[str, Any], *, api_key: str | None, call: str
    ) -> AsyncGenerator[str | list[Chunk], None]:
        """The request's id once it is admitted, then what was generated since the item before; [] at the end.

        Where the request says `"stream": false`, and for embeddings, what was generated is the whole answer. Closing
        it, or cancelling who waits for it, is a client's disconnect: the slot is free within a step. Raises ApiError.
        """
        streams = _intake(request) is not EMBEDDINGS and request.get("stream", True)
        asked = {**request, "stream": True} if streams else request
        async with self._passage(asked, api_key, call) as (passage, request_id):
            yield request_id
            await _require_good(passage)
            if streams:
                decoder, gather_s = SseDecoder(max_event=MAX_EVENT), GATHER_S
                while (part := await passage.read()) is not None:
                    if chunks := _chunks(decoder, part):
                        yield chunks
                        await passage.rest(gather_s)
                        gather_s = min(2 * gather_s, GATHER_MOST_S)
            else:
                yield [orjson.loads(await passage.body(MAX_ANSWER))]
            yield []  # the end: Modal's client does not tell a stream that broke off from one that is whole

    @asynccontextmanager
    async def _passage(
        self, request: Mapping[str, Any], api_key: str | None, call: str
    ) -> AsyncIterator[tuple[Passage, str]]:
        """The admitted request on its way. What was never taken up is given back at the end."""
        service = self._process.service()
        service.check()
        try:
            lease, body = await self._admitted(service, request, api_key, call)
        except LedgerUnavailable as error:
            raise ledger_unavailable() from error
        headers = {"Penstock-Ticket": service.ticket(lease, body), "Content-Type": "application/json"}
        passage = Passage(self._app, _intake(request).path, headers, body)
        try:
            async with passage:
                yield passage, lease.id
        except BrokeOff:
            raise UpstreamFailed("The GPU process broke off before the answer was whole.") from None
        finally:
            if passage.status != 200:
                await _give_back(service, lease)

    async def _admitted(
        self, service: Service, request: Mapping[str, Any], api_key: str | None, call: str
    ) -> tuple[Lease, bytes]:
        ledger, now, request_id = service.ledger, now_ms(), request_id_of(call)
        caller, switch, record = await asyncio.gather(  # three looks in the time of one
            caller_of(ledger, api_key, service.settings.service_key_id), ledger.switch(), ledger.record(request_id)
        )
        intake = _intake(request)
        require_entitled(caller, now)
        require_route(caller, intake.group)
        require_switched_on(switch)
        body = _body({"model": service.model.name, **request}, service.settings.max_body_bytes)
        asked = intake.read(body)
        model = model_of(asked, ModelTable([service.model]))
        intake.require(asked, model, caller)
        if record is not None:
            raise _interrupted()
        try:
            outcome = await admission.admit(
                ledger,
                caller,
                model,
                *asked.demands(),
                request_id=request_id,
                now=now,
                claim_within_s=service.settings.startup_budget_s,
            )
        except AccessDenied as error:
            raise denied(await ledger.caller(caller.key.id), now) from error
        except admission.NoPrice as error:
            raise no_price(model) from error
        if isinstance(outcome, Refused):
            raise refusal(outcome, now)
        return outcome.lease, body


def _intake(request: Mapping[str, Any]) -> Intake:
    for field, intake in (("messages", CHAT), ("prompt", COMPLETIONS), ("input", EMBEDDINGS)):
        if field in request:
            return intake
    raise BadRequest("The request has none of 'messages', 'prompt' and 'input', so it is unclear what it asks for.")


def _body(request: Mapping[str, Any], limit: int) -> bytes:
    try:
        body = orjson.dumps(request)
    except (TypeError, orjson.JSONEncodeError) as error:
        raise BadRequest(f"The request is no JSON: {error}.") from None
    if len(body) > limit:
        raise BadRequest(f"The request is over the limit of {limit} bytes.", code="request_too_large")
    return body


async def _give_back(service: Service, lease: Lease) -> None:
    """Release the lease, unless it was taken up. Where the ledger is away it ends by itself, at its deadline."""
    with suppress(LedgerUnavailable):
        await service.ledger.release(lease, now_ms())


async def _require_good(passage: Passage) -> None:
    """Raises what the app refused with."""
    await passage.begun()
    if passage.status == 200:
        return
    envelope = orjson.loads(await passage.body(MAX_ANSWER))
    # A ticket that was used, though it is new, means a call that was delivered before.
    raise _interrupted() if passage.status == 409 else _error(passage.status, envelope, passage.headers)


def _chunks(decoder: SseDecoder, part: bytes) -> list[Chunk]:
    chunks = [orjson.loads(event.data) for event in decoder.feed(part) if event.data != "[DONE]"]
    for chunk in chunks:
        if "error" in chunk:
            raise _error(ApiError.status, chunk, {})
    return chunks


def _error(status: int, envelope: Mapping[str, Any], headers: Mapping[str, str]) -> ApiError:
    """The app's refusal, as the exception that it was."""
    told = dict(envelope["error"])
    message, kind, param, code = (told.pop(name) for name in ("message", "type", "param", "code"))
    passed_on = {name: headers[name.lower()] for name in ("Retry-After", "x-should-retry") if name.lower() in headers}
    error = ApiError(message, param=param, code=code, headers=passed_on, details=told)
    error.status, error.type = status, kind
    return error


def _interrupted() -> UpstreamFailed:
    return UpstreamFailed("The container that had taken up this call died before it answered.", code="interrupted")
