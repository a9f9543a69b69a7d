"""`POST /v1/files`: a new file, whose content comes with the request, or will be put at a URL that is answered.

With the request it comes as a multipart form, as OpenAI's, and goes into the storage as it comes: nothing of a form
that is refused in the end is left there. A JSON body says how many bytes there will be, and asks for a signed URL of
the storage; that is ours, for what is too large for the way to here.
"""

from functools import partial
from typing import Any

import orjson
from starlette.responses import Response

from functions.edge.body import read_body
from functions.edge.creation import HEADERS, MAX_BODY, answered, require_patience
from functions.edge.exchange import Exchange, Route
from functions.edge.multipart import FILE, MEDIA_TYPE, Form, is_form, read_form
from functions.edge.openapi import request_body
from functions.edge.policies import POLICIES
from functions.edge.policies.recall import once
from penstock.batches.addresses import file_content
from penstock.batches.records import File, FileState, Purpose, new_file_id
from penstock.clock import SECOND, now_ms
from penstock.errors import BadRequest
from penstock.schemas.file import (
    LONGEST_LIFE,
    SHORTEST_LIFE,
    FileForm,
    FileObject,
    FileRequest,
    Upload,
    is_file_name,
)
from penstock.schemas.reading import json_object, read

UPLOAD_WITHIN = 60 * 60  # seconds, that a signed URL is good for

_SECONDS = "expires_after[seconds]"
_NESTED = ("expires_after[anchor]", _SECONDS)
_LONGEST_NUMBER = 18  # digits


async def _create(exchange: Exchange) -> Response:
    storage = exchange.edge.storage
    await storage.objects()  # before anything is read
    require_patience(exchange)
    await storage.require_room(exchange.caller.account.id)
    return await (_take if is_form(exchange.request) else _promise)(exchange)


async def _take(exchange: Exchange) -> Response:
    """Take the content in."""
    objects, limit = await exchange.edge.storage.objects(), exchange.edge.settings.max_upload_bytes
    file_id, now = _new_id(exchange)
    address = file_content(exchange.caller.account.id, file_id)
    async with objects.writer(address) as writer:
        form = await read_form(exchange.request, writer.write, limit)
        asked = _asked(form)
    exchange.body = orjson.dumps([asked.model_dump(), form.digest])
    file = _file(exchange, file_id, now, asked)
    taken = False

    async def add() -> Response:
        nonlocal taken
        taken = True
        return await _add(exchange, file)

    try:
        return await once(exchange, add)
    finally:
        if not taken:  # it has come before, under its Idempotency-Key
            await objects.delete([address])


async def _promise(exchange: Exchange) -> Response:
    """Say where the content is to be put."""
    exchange.body = await read_body(exchange.request, MAX_BODY, instead=MEDIA_TYPE)
    asked = read(FileRequest, json_object(exchange.body))
    limit = exchange.edge.settings.max_file_bytes
    if asked.bytes > limit:
        raise BadRequest(f"bytes: must be at most {limit}.", param="bytes", code="invalid_value")
    return await once(exchange, partial(_add_pending, exchange, asked))


async def _add_pending(exchange: Exchange, asked: FileRequest) -> Response:
    file_id, now = _new_id(exchange)
    file = _file(exchange, file_id, now, asked, FileState.PENDING)
    objects = await exchange.edge.storage.objects()
    url = await objects.signed_put(file.address, size=file.size, expires_s=UPLOAD_WITHIN)
    if url is None:
        message = f"This deployment's storage has no signed URLs. Send the file itself, as {MEDIA_TYPE}."
        raise BadRequest(message, code="presigned_unsupported")
    return await _add(exchange, file, Upload(url=url, headers={}, expires_at=now // SECOND + UPLOAD_WITHIN))


async def _add(exchange: Exchange, file: File, upload: Upload | None = None) -> Response:
    await (await exchange.edge.storage.book()).add_file(file)
    exchange.facts.update(bytes=file.size)
    return answered(exchange, file.id, FileObject.of(file, upload))


def _new_id(exchange: Exchange) -> tuple[str, int]:
    now = now_ms()
    return new_file_id(now), now


def _file(exchange: Exchange, file_id: str, now: int, asked: FileRequest, state: FileState = FileState.READY) -> File:
    account_id = exchange.caller.account.id
    life = LONGEST_LIFE if asked.expires_after is None else asked.expires_after.seconds
    return File(
        id=file_id,
        account_id=account_id,
        purpose=Purpose(asked.purpose),
        filename=asked.filename,
        size=asked.bytes,
        address=file_content(account_id, file_id),
        created_at=now,
        expires_at=now + life * SECOND,
        state=state,
    )


def _asked(form: Form) -> FileRequest:
    """What the form asks for, as the JSON body would. Raises BadRequest."""
    fields = read(FileForm, _nested(form.fields))
    if not is_file_name(form.filename):
        message = f"{FILE}: its name must have 1 to 255 characters, and be no path."
        raise BadRequest(message, param=FILE, code="invalid_value")
    if form.size == 0:
        raise BadRequest(f"{FILE}: is empty.", param=FILE, code="invalid_value")
    return FileRequest(
        purpose=fields.purpose, expires_after=fields.expires_after, filename=form.filename, bytes=form.size
    )


def _nested(fields: dict[str, str]) -> dict[str, Any]:
    """The form's fields with `expires_after` as the object that it is in JSON."""
    flat: dict[str, Any] = {name: text for name, text in fields.items() if name not in _NESTED}
    after: dict[str, Any] = {name[len("expires_after[") : -1]: fields[name] for name in _NESTED if name in fields}
    seconds = after.get("seconds", "")
    if seconds.isascii() and seconds.isdecimal() and len(seconds) <= _LONGEST_NUMBER:
        after["seconds"] = int(seconds)
    return {**flat, "expires_after": after} if after else flat


_FORM = {
    "type": "object",
    "required": [FILE, "purpose"],
    "additionalProperties": False,
    "properties": {
        FILE: {"type": "string", "format": "binary", "minLength": 1, "description": "JSON lines, each a request."},
        "purpose": {"type": "string", "enum": ["batch"]},
        "expires_after[anchor]": {"type": "string", "enum": ["created_at"]},
        _SECONDS: {"type": "integer", "minimum": SHORTEST_LIFE, "maximum": LONGEST_LIFE},
    },
    "dependentRequired": {"expires_after[anchor]": [_SECONDS], _SECONDS: ["expires_after[anchor]"]},
}
_BODY = request_body(FileRequest)["requestBody"]

CREATE = Route(
    "POST",
    "/v1/files",
    _create,
    policies=POLICIES[:1],
    group="files",
    summary="Upload a file, or ask where to put a large one.",
    openapi={
        "parameters": HEADERS,
        "requestBody": {**_BODY, "content": {MEDIA_TYPE: {"schema": _FORM}, **_BODY["content"]}},
    },
    responses={200: {"model": FileObject}},
)
