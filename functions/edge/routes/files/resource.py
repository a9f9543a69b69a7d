"""`GET /v1/files`, `GET` and `DELETE /v1/files/{id}`: the account's files, and one of them."""

from starlette.responses import Response

from functions.edge.creation import answered
from functions.edge.exchange import Exchange, Route
from functions.edge.filing import found_file
from functions.edge.policies import POLICIES
from functions.edge.query import FILE_ID, read_query
from penstock.batches import Book
from penstock.batches.records import File, Purpose
from penstock.clock import now_ms
from penstock.errors import Conflict
from penstock.schemas.file import FileDeleted, FileObject, FilePage, FilesQuery


async def _list(exchange: Exchange) -> Response:
    query, book = read_query(exchange.request, FilesQuery), await exchange.edge.storage.book()
    found = await _files(book, exchange.caller.account.id, query)
    page = found[: query.limit]
    answer = FilePage(
        data=[FileObject.of(file) for file in page],
        first_id=page[0].id if page else None,
        last_id=page[-1].id if page else None,
        has_more=len(found) > len(page),
    )
    return Response(answer.model_dump_json(), media_type="application/json")


async def _files(book: Book, account_id: str, query: FilesQuery) -> list[File]:
    """The files that are asked for, and one more where there is one. Those whose time is over are passed over."""
    purpose = None if query.purpose is None else Purpose(query.purpose)
    found: list[File] = []
    after, now = query.after, now_ms()
    while (missing := query.limit + 1 - len(found)) > 0:
        files = await book.files(
            account_id, purpose=purpose, after=after, limit=missing, newest_first=query.order == "desc"
        )
        found += (file for file in files if not file.over(now))
        if len(files) < missing:
            break
        after = files[-1].id
    return found


async def _retrieve(exchange: Exchange) -> Response:
    file = await found_file(exchange, exchange.request.path_params["id"])
    return answered(exchange, file.id, FileObject.of(file))


async def _delete(exchange: Exchange) -> Response:
    storage, account_id = exchange.edge.storage, exchange.caller.account.id
    file = await found_file(exchange, exchange.request.path_params["id"])
    for batch in await storage.recent(account_id):
        if batch.input_file_id == file.id and not batch.status.final:
            raise Conflict(f"The batch {batch.id!r} is not done with this file yet.", code="file_in_use")
    await storage.remove([file])
    return answered(exchange, file.id, FileDeleted(id=file.id))


LIST = Route(
    "GET",
    "/v1/files",
    _list,
    policies=POLICIES[:1],
    group="files",
    summary="The account's files.",
    query=FilesQuery,
    responses={200: {"model": FilePage}},
)
RETRIEVE = Route(
    "GET",
    "/v1/files/{id}",
    _retrieve,
    policies=POLICIES[:1],
    group="files",
    summary="One file.",
    openapi={"parameters": [FILE_ID]},
    responses={200: {"model": FileObject}},
)
DELETE = Route(
    "DELETE",
    "/v1/files/{id}",
    _delete,
    policies=POLICIES[:1],
    group="files",
    summary="Delete a file.",
    openapi={"parameters": [FILE_ID]},
    responses={200: {"model": FileDeleted}},
)
