"""Shards on their way to be started, as messages of a queue: whoever has sent them waits for no worker.

`{"shard": {"batch_id": "batch_...", "number": 3}}`, which `functions.batch.queue` reads. A message may come twice, or
late: what it asks for is done once.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson
import structlog

from penstock.batches.records import Batch, Shard

AT_ONCE = 10  # messages that SQS takes in one request

log = structlog.get_logger()


class Queued:
    """A queue of SQS."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client: Any = None

    async def send(self, batch: Batch, shards: Sequence[Shard]) -> None:
        """Send a message for each. What cannot be sent is logged, and sent again once it is SENT for too long."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 (only where there is a queue)

        for start in range(0, len(shards), AT_ONCE):
            some = shards[start : start + AT_ONCE]
            try:
                unsent = await asyncio.to_thread(self._send, some)
            except (BotoCoreError, ClientError) as error:
                log.error("shards_unsent", batch=batch.id, shards=len(some), error=_name(error))
                continue
            if unsent:
                log.error("shards_unsent", batch=batch.id, shards=unsent)

    def _send(self, shards: Sequence[Shard]) -> int:
        """How many the queue did not take."""
        from functions.batch import boto  # noqa: PLC0415

        self._client = self._client or boto.client("sqs")
        entries = [{"Id": str(place), "MessageBody": message(shard)} for place, shard in enumerate(shards)]
        return len(self._client.send_message_batch(QueueUrl=self._url, Entries=entries).get("Failed", ()))


def _name(error: Exception) -> str:
    """What AWS calls the error; where it never answered, the client."""
    said: str = getattr(error, "response", {}).get("Error", {}).get("Code", type(error).__name__)
    return said


def message(shard: Shard) -> str:
    """The message that asks for the shard's start."""
    return orjson.dumps({"shard": {"batch_id": shard.batch_id, "number": shard.number}}).decode()
