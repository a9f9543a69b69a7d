"""Who is told that a batch has ended: a topic of SNS, a webhook, both, or nobody.

Both get the same event, of OpenAI's form, and each at least once: its id is the batch's own, and the same each time it
is told. Whoever is away is told again later, for GIVE_UP at most.
https://platform.openai.com/docs/api-reference/webhook-events/batch
"""

import asyncio
from typing import Any

import aiohttp
import orjson
import structlog

from functions.batch.kept_secrets import KeptSecrets, SecretsUnreadable
from penstock import webhook
from penstock.batches.records import Batch
from penstock.clock import SECOND, now_ms
from penstock.settings import BatchSettings

WITHIN_S = 15.0  # until who is told has answered
USER_AGENT = "penstock-webhooks/1"

log = structlog.get_logger()


class NotTold(Exception):
    """Somebody who was to be told was not. One line that says why."""


def event_of(batch: Batch) -> dict[str, Any]:
    """The event of the batch's end."""
    return {
        "id": f"evt_{batch.id.removeprefix('batch_')}",
        "object": "event",
        "created_at": (batch.ended_at or 0) // SECOND,
        "type": f"batch.{batch.status.value}",
        "data": {"id": batch.id},
    }


class Topic:
    """A topic of SNS."""

    def __init__(self, arn: str) -> None:
        self._arn = arn
        self._client: Any = None

    async def tell(self, event: dict[str, Any]) -> None:
        """Publish the event; its type is an attribute, too, to filter by. Raises NotTold."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 (only where there is a topic)

        try:
            await asyncio.to_thread(self._publish, event)
        except (BotoCoreError, ClientError) as error:
            raise NotTold(f"the topic: {type(error).__name__}: {' '.join(str(error).split())[:300]}") from None

    def _publish(self, event: dict[str, Any]) -> None:
        from functions.batch import boto  # noqa: PLC0415

        self._client = self._client or boto.client("sns")
        attributes = {"type": {"DataType": "String", "StringValue": event["type"]}}
        self._client.publish(TopicArn=self._arn, Message=orjson.dumps(event).decode(), MessageAttributes=attributes)


class Webhook:
    """An HTTPS endpoint, which verifies what it gets by the secret."""

    def __init__(self, url: str, secrets: KeptSecrets) -> None:
        self._url = url
        self._secrets = secrets

    async def tell(self, event: dict[str, Any]) -> None:
        """Post the event. Whatever is answered but 2xx is a refusal; redirects are not followed. Raises NotTold."""
        body = orjson.dumps(event)
        try:
            secret = (await self._secrets.get())["webhook_secret"]
            headers = webhook.signed(secret, event["id"], now_ms() // SECOND, body)
            status = await self._post(body, headers)
        except (SecretsUnreadable, ValueError) as error:
            raise NotTold(f"the webhook's secret: {error}") from None
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise NotTold(f"the webhook: {type(error).__name__}") from None
        if not 200 <= status < 300:
            raise NotTold(f"the webhook answered {status}")

    async def _post(self, body: bytes, headers: Any) -> int:
        sent = {**headers, "content-type": "application/json", "user-agent": USER_AGENT}
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=WITHIN_S)) as session,
            session.post(self._url, data=body, headers=sent, allow_redirects=False) as answer,
        ):
            return answer.status


class Notices:
    """All who are to be told."""

    def __init__(self, topic: Topic | None = None, endpoint: Webhook | None = None) -> None:
        self.topic = topic
        self.webhook = endpoint

    @classmethod
    def of(cls, settings: BatchSettings) -> "Notices":
        """Those that the settings name."""
        topic = None if settings.topic_arn is None else Topic(settings.topic_arn)
        if settings.webhook_url is None or settings.webhook_secret is None:
            return cls(topic)
        secrets = KeptSecrets(settings.secrets_cache_s, webhook_secret=settings.webhook_secret)
        return cls(topic, Webhook(settings.webhook_url, secrets))
