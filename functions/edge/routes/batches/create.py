"""`POST /v1/batches`: a batch of one of the account's files is written down, and poked.

OpenAI's clients send no `Idempotency-Key` by themselves. But they say when they try again: such a request gets the
batch that its first try made, which is the same batch by the same key, minutes old.
"""

import hashlib
from collections.abc import Sequence
from functools import partial

from starlette.datastructures import Headers
from starlette.responses import Response

from functions.edge.body import read_body
from functions.edge.creation import HEADERS, MAX_BODY, answered, require_patience
from functions.edge.exchange import Exchange, Route
from functions.edge.filing import found_file
from functions.edge.openapi import request_body
from functions.edge.poking import poke
from functions.edge.policies import POLICIES
from functions.edge.policies.recall import once
from penstock.batches import addresses, records
from penstock.batches.records import File, FileState, Purpose, derived_id, new_batch_id
from penstock.clock import MINUTE, SECOND, now_ms
from penstock.entitlement import require_route, require_switched_on
from penstock.errors import BadRequest, RateLimited
from penstock.intakes import INTAKES
from penstock.schemas.batch import Batch, BatchRequest
from penstock.schemas.reading import json_object, read

UNFINISHED = 100  # batches of an account
RETRIED_WITHIN = 10 * MINUTE
ASK_AGAIN_IN = 60  # seconds, where there are too many


async def _create(exchange: Exchange) -> Response:
    await exchange.edge.storage.book()  # before anything is read
    require_switched_on(await exchange.edge.switches.get(""))
    exchange.body = await read_body(exchange.request, MAX_BODY)
    asked = read(BatchRequest, json_object(exchange.body))
    require_route(exchange.caller, INTAKES[asked.endpoint].group)
    return await once(exchange, partial(_begin, exchange, asked))


async def _begin(exchange: Exchange, asked: BatchRequest) -> Response:
    now, recent = now_ms(), await exchange.edge.storage.recent(exchange.caller.account.id)
    if _is_retry(exchange.request.headers):
        for made in recent:
            if made.created_at > now - RETRIED_WITHIN and _is_same(made, asked, exchange.caller.key.id):
                return answered(exchange, made.id, Batch.of(made))
    require_patience(exchange)
    _require_room(recent)
    file = await _input(exchange, asked.input_file_id)
    batch = _batch(exchange, asked, file, now)
    await (await exchange.edge.storage.book()).add_batch(batch)
    await poke(exchange, batch.id)
    return answered(exchange, batch.id, Batch.of(batch))


def _is_retry(headers: Headers) -> bool:
    """Whether it says that it was sent before, as the clients do that OpenAI has generated."""
    return headers.get("x-stainless-retry-count", "0").strip() not in ("", "0")


def _is_same(made: records.Batch, asked: BatchRequest, key_id: str) -> bool:
    return (made.key_id, made.input_file_id, made.endpoint, made.window_s, made.metadata) == (
        key_id,
        asked.input_file_id,
        asked.endpoint,
        asked.window_s,
        asked.metadata or {},
    )


def _require_room(recent: Sequence[records.Batch]) -> None:
    if sum(not batch.status.final for batch in recent) >= UNFINISHED:
        raise RateLimited(
            f"The account has {UNFINISHED} batches that are not finished, and may have no more.",
            code="too_many_batches",
            headers={"Retry-After": str(ASK_AGAIN_IN)},
        )


async def _input(exchange: Exchange, file_id: str) -> File:
    """The file that the batch is made of. Raises NotFound or BadRequest."""
    file = await found_file(exchange, file_id, param="input_file_id")
    if file.purpose is not Purpose.BATCH:
        message = "input_file_id: the file must have been uploaded with the purpose 'batch'."
        raise BadRequest(message, param="input_file_id", code="invalid_value")
    if file.state is FileState.PENDING:
        message = f"input_file_id: the file's {file.size} bytes have not been put at its URL yet."
        raise BadRequest(message, param="input_file_id", code="file_not_ready")
    return file


def _batch(exchange: Exchange, asked: BatchRequest, file: File, now: int) -> records.Batch:
    caller, batch_id = exchange.caller, new_batch_id(now)
    output, errors = (
        addresses.file_content(
            caller.account.id, derived_id("file-", now, hashlib.sha256(f"{batch_id}/{what}".encode()).digest())
        )
        for what in ("output", "errors")
    )
    return records.Batch(
        id=batch_id,
        account_id=caller.account.id,
        key_id=caller.key.id,
        endpoint=asked.endpoint,
        input_file_id=file.id,
        input_address=file.address,
        window_s=asked.window_s,
        created_at=now,
        expires_at=now + asked.window_s * SECOND,
        output_address=output,
        error_address=errors,
        metadata=asked.metadata or {},
        output_life_s=None if asked.output_expires_after is None else asked.output_expires_after.seconds,
    )


CREATE = Route(
    "POST",
    "/v1/batches",
    _create,
    policies=POLICIES[:1],
    group="batches",
    summary="Begin a batch.",
    openapi={"parameters": HEADERS, **request_body(BatchRequest)},
    responses={200: {"model": Batch}},
)
