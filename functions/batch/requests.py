"""A single request that came as a message, and the batch of one line that it becomes.

It goes the very way of every other batch: validated, admitted, answered once, however often the message comes. Its
result lies in `results/queue/`, named for the message.
"""

import re
from hashlib import sha256
from typing import Any

import orjson
import structlog
from pydantic import BaseModel, ConfigDict, Field

from functions.batch.making import WINDOW_S, expires_at, make
from functions.batch.plant import Plant
from penstock.batches.addresses import RESULTS, file_content
from penstock.batches.records import Batch, File, Purpose, derived_id

FOLDER = f"{RESULTS}queue/"

_MESSAGE_ID = re.compile(r"[0-9A-Za-z_-]{1,100}")

log = structlog.get_logger()


class QueuedRequest(BaseModel):
    """The request, as a line of a batch has it, and on whose key; without one, on the service's own."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    url: str
    body: dict[str, Any]
    custom_id: str | None = None  # without one, the message's id
    key_id: str | None = Field(default=None, pattern="^[0-9A-Za-z_]{1,64}$")


async def accept(plant: Plant, request: QueuedRequest, message_id: str, sent_at: int) -> Batch:
    """The batch that was made of it, now or before. `sent_at` is when the message was sent, in milliseconds.

    Raises ValueError where nobody pays for it; LedgerUnavailable and ObjectsUnavailable.
    """
    if not _MESSAGE_ID.fullmatch(message_id):
        raise ValueError("the message has no proper id")
    key_id = request.key_id or plant.settings.service_key_id
    caller = None if key_id is None else await plant.ledger.caller(key_id)
    if caller is None:
        raise ValueError("there is no API key that pays for the request: key_id is missing, or unknown")
    account_id, digest = caller.account.id, sha256(f"queue\0{message_id}".encode()).digest()
    line = orjson.dumps(
        {"custom_id": request.custom_id or message_id, "method": "POST", "url": request.url, "body": request.body}
    )
    file_id = derived_id("file-", sent_at, digest)
    address = file_content(account_id, file_id)
    file = File(file_id, account_id, Purpose.BATCH, f"{message_id}.jsonl", len(line), address, sent_at)
    batch = Batch(
        id=derived_id("batch_", sent_at, digest),
        account_id=account_id,
        key_id=caller.key.id,
        endpoint="",
        input_file_id=file_id,
        input_address=address,
        window_s=WINDOW_S,
        created_at=sent_at,
        expires_at=expires_at(sent_at),
        output_address=f"{FOLDER}{message_id}.output.jsonl",
        error_address=f"{FOLDER}{message_id}.errors.jsonl",
    )
    await plant.objects.put(address, line)
    await make(plant, file, batch)
    log.info("request_queued", batch=batch.id, account=account_id)
    return batch
