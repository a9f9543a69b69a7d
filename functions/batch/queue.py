"""Messages of the queue: shards that are to be started, and single requests.

    {"shard": {"batch_id": "batch_...", "number": 3}}
    {"request": {"url": "/v1/chat/completions", "body": {...}, "custom_id": "...", "key_id": "..."}}

Each message stands for itself: those that fail are told to SQS, which brings them again, and after some times puts them
with the dead letters; the others are done. A shard that needs no start any more, or whose batch is gone, is done, too.
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html#services-sqs-batchfailurereporting
"""

from collections.abc import Mapping
from typing import Any

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from functions.batch import requests
from functions.batch.at_once import at_once
from functions.batch.function import Context, Function, within_s
from functions.batch.plant import Plant
from functions.batch.requests import QueuedRequest
from penstock.ledger import LedgerUnavailable
from penstock.objects import ObjectsUnavailable

AT_ONCE = 10  # messages

log = structlog.get_logger()

_function = Function("queue")


class QueuedShard(BaseModel):
    """A shard that is to be started."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    batch_id: str = Field(pattern="^batch_[0-9A-Za-z]{1,64}$")
    number: int = Field(ge=0)


class Message(BaseModel):
    """One of the two."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    shard: QueuedShard | None = None
    request: QueuedRequest | None = None

    @model_validator(mode="after")
    def _one(self) -> "Message":
        if (self.shard is None) == (self.request is None):
            raise ValueError("a message has a shard or a request")
        return self


def handler(event: Mapping[str, Any], context: Context) -> dict[str, list[dict[str, str]]]:
    """The messages that failed, in the form that SQS asks for."""
    records = event["Records"]
    done: set[str] = set()

    async def work(plant: Plant) -> None:
        async def one(record: Mapping[str, Any]) -> None:
            if await _done(plant, record):
                done.add(record["messageId"])

        await at_once(AT_ONCE, one, records)

    try:
        _function.run(work, context)
    except (LedgerUnavailable, ObjectsUnavailable, TimeoutError) as error:
        log.error("messages_left", error=type(error).__name__, within_s=round(within_s(context), 1))
    failed = [record["messageId"] for record in records if record["messageId"] not in done]
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


async def _done(plant: Plant, record: Mapping[str, Any]) -> bool:
    """Whether the message is dealt with."""
    try:
        message = Message.model_validate_json(record["body"])
        if message.shard is not None:
            await plant.starter.start(message.shard.batch_id, message.shard.number)
        elif message.request is not None:
            sent_at = int(record["attributes"]["SentTimestamp"])
            await requests.accept(plant, message.request, record["messageId"], sent_at)
    except ValidationError as error:
        log.error("message_malformed", message=record["messageId"], reason=_first(error))
        return False
    except ValueError as error:
        log.error("message_refused", message=record["messageId"], reason=str(error))
        return False
    except Exception as error:
        log.error("message_failed", message=record["messageId"], exc_info=error)
        return False
    return True


def _first(error: ValidationError) -> str:
    """What is wrong, without a word of the message."""
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
