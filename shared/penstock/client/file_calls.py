"""The calls of `client.files` and `client.batches`."""

from urllib.parse import quote

from penstock.client.call import Call, Timeout, Upload
from penstock.client.calls import asked, json_of, posted
from penstock.client.errors import StatusError, UnexpectedAnswer
from penstock.client.multipart import Multipart
from penstock.client.parameters import (
    BatchArguments,
    BatchesParameters,
    ExpiresAfter,
    FilesParameters,
)
from penstock.client.source import Source
from penstock.schemas import FileObject

LARGEST_POSTED = 4_000_000  # bytes; a larger body does not reach an API in the cloud
UNSUPPORTED = "presigned_unsupported"


def form_call(source: Source, purpose: str, expires_after: ExpiresAfter | None, timeout: Timeout | None) -> Call:
    """`POST /v1/files`, with the file."""
    fields = {"purpose": purpose}
    if expires_after is not None:
        fields |= {f"expires_after[{name}]": str(value) for name, value in expires_after.items()}
    form = Multipart(fields, source)
    return Call(method="POST", path="/files", body=form, content_type=form.content_type, timeout=timeout)


def promise_call(source: Source, purpose: str, expires_after: ExpiresAfter | None, timeout: Timeout | None) -> Call:
    """`POST /v1/files`, with the promise of a file: the answer says where it is to be put."""
    promised = {"purpose": purpose, "filename": source.name, "bytes": source.size}
    if expires_after is not None:
        promised["expires_after"] = dict(expires_after)
    return Call(method="POST", path="/files", body=json_of(promised), timeout=timeout)


def upload_of(promised: FileObject, source: Source, timeout: Timeout | None) -> Upload:
    """The file, to be put where the API said. Raises UnexpectedAnswer where it did not."""
    there = promised.upload
    if there is None:
        raise UnexpectedAnswer("the API does not say where the file is to be put")
    return Upload(url=there.url, headers=there.headers, content=source, timeout=timeout)


def only_forms(refusal: StatusError) -> bool:
    """Whether the API takes files in forms only, whatever their size: its storage has no URLs to put to."""
    return refusal.code == UNSUPPORTED


def files_call(arguments: FilesParameters) -> Call:
    """`GET /v1/files`. Raises TypeError for arguments that do not fit."""
    return asked("/files", FilesParameters, arguments)


def file_call(file_id: str) -> Call:
    """`GET /v1/files/{id}`."""
    return Call(method="GET", path=f"/files/{quote(file_id, safe='')}")


def content_call(file_id: str) -> Call:
    """`GET /v1/files/{id}/content`."""
    return Call(method="GET", path=f"/files/{quote(file_id, safe='')}/content")


def deletion_call(file_id: str) -> Call:
    """`DELETE /v1/files/{id}`."""
    return Call(method="DELETE", path=f"/files/{quote(file_id, safe='')}")


def new_batch_call(arguments: BatchArguments) -> Call:
    """`POST /v1/batches`. Raises TypeError for arguments that do not fit."""
    return posted("/batches", BatchArguments, arguments, {})


def batches_call(arguments: BatchesParameters) -> Call:
    """`GET /v1/batches`. Raises TypeError for arguments that do not fit."""
    return asked("/batches", BatchesParameters, arguments)


def batch_call(batch_id: str, timeout: Timeout | None = None) -> Call:
    """`GET /v1/batches/{id}`."""
    return Call(method="GET", path=f"/batches/{quote(batch_id, safe='')}", timeout=timeout)


def cancel_call(batch_id: str) -> Call:
    """`POST /v1/batches/{id}/cancel`."""
    return Call(method="POST", path=f"/batches/{quote(batch_id, safe='')}/cancel")
