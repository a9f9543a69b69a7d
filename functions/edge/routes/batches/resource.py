"""`GET /v1/batches`, `GET /v1/batches/{id}` and its `cancel`: the account's batches, and how far they have come."""

import re
from dataclasses import replace

from starlette.responses import Response

from functions.edge.creation import answered
from functions.edge.exchange import Exchange, Route
from functions.edge.poking import stop
from functions.edge.policies import POLICIES
from functions.edge.query import BATCH_ID, read_query
from penstock.batches import records
from penstock.batches.records import Status
from penstock.clock import now_ms
from penstock.errors import Conflict, NotFound, Unavailable
from penstock.schemas.batch import Batch, BatchesQuery, BatchPage

TRIES = 10  # to change a batch that others change, too

_ID = re.compile(r"batch_[0-9A-Za-z]{1,64}")


async def _list(exchange: Exchange) -> Response:
    query, book = read_query(exchange.request, BatchesQuery), await exchange.edge.storage.book()
    found = await book.batches(exchange.caller.account.id, after=query.after, limit=query.limit + 1)
    page = found[: query.limit]
    answer = BatchPage(
        data=[Batch.of(batch) for batch in page],
        first_id=page[0].id if page else None,
        last_id=page[-1].id if page else None,
        has_more=len(found) > len(page),
    )
    return Response(answer.model_dump_json(), media_type="application/json")


async def _retrieve(exchange: Exchange) -> Response:
    batch = await _found(exchange)
    return answered(exchange, batch.id, Batch.of(batch))


async def _found(exchange: Exchange) -> records.Batch:
    """The calling account's batch. Raises NotFound."""
    book, batch_id = await exchange.edge.storage.book(), str(exchange.request.path_params["id"])
    batch = await book.batch(batch_id) if _ID.fullmatch(batch_id) else None
    if batch is None or batch.account_id != exchange.caller.account.id:
        raise NotFound(f"There is no batch {batch_id[:70]!r}.", code="batch_not_found")
    return batch


async def _cancel(exchange: Exchange) -> Response:
    batch = await _cancelled(exchange)
    if not batch.status.final:
        await stop(exchange, batch.id)
    return answered(exchange, batch.id, Batch.of(batch))


async def _cancelled(exchange: Exchange) -> records.Batch:
    """The batch, which is to be cancelled or already was. Raises NotFound or Conflict."""
    book = await exchange.edge.storage.book()
    for _ in range(TRIES):
        batch = await _found(exchange)
        if batch.status in (Status.CANCELLING, Status.CANCELLED):
            return batch
        if batch.status not in (Status.VALIDATING, Status.IN_PROGRESS):
            raise Conflict(f"The batch cannot be cancelled any more: it is {batch.status.value}.", code="batch_ended")
        cancelling = replace(batch, status=Status.CANCELLING, cancelling_at=now_ms())
        if await book.change_batch(cancelling):
            return cancelling
    raise Unavailable("The batch changes too often at present.", retry_after=1, code="batch_busy")


LIST = Route(
    "GET",
    "/v1/batches",
    _list,
    policies=POLICIES[:1],
    group="batches",
    summary="The account's batches, newest first.",
    query=BatchesQuery,
    responses={200: {"model": BatchPage}},
)
RETRIEVE = Route(
    "GET",
    "/v1/batches/{id}",
    _retrieve,
    policies=POLICIES[:1],
    group="batches",
    summary="One batch, and how far it has come.",
    openapi={"parameters": [BATCH_ID]},
    responses={200: {"model": Batch}},
)
CANCEL = Route(
    "POST",
    "/v1/batches/{id}/cancel",
    _cancel,
    policies=POLICIES[:1],
    group="batches",
    summary="Cancel a batch: what was begun is finished or dropped, and what was done is kept.",
    openapi={"parameters": [BATCH_ID]},
    responses={200: {"model": Batch}},
)
