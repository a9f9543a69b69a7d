"""Who asked is told that a batch has ended: signed, again where that failed, and not for ever."""

import base64
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from openai import OpenAI
from pydantic import SecretStr

from functions.batch import ending, kept_secrets
from functions.batch.changes import change_batch
from functions.batch.held import is_held
from functions.batch.kept_secrets import KeptSecrets, SecretsUnreadable
from functions.batch.notification import NotTold
from penstock import parameter_store
from penstock.batches.records import Batch
from penstock.clock import now_ms
from penstock.parameter_store import ParametersUnavailable
from tests.integration.batch.endpoint import Endpoint, endpoint
from tests.integration.batch.stand import DAY, Stand, input_of, standing

pytestmark = pytest.mark.anyio

SECRET = f"whsec_{base64.b64encode(bytes(32)).decode()}"


@pytest.fixture
def told() -> Iterator[Endpoint]:
    """Who is to be told."""
    with endpoint() as made:
        yield made


@pytest.fixture
async def stand(tmp_path: Path, told: Endpoint) -> AsyncIterator[Stand]:
    """A plant that tells it."""
    async with standing(tmp_path, webhook_url=told.url, webhook_secret=SecretStr(SECRET)) as made:
        yield made


async def pass_time(stand: Stand, batch_id: str) -> None:
    """Let the pause before the next try be over."""
    batch = await stand.batch(batch_id)
    assert is_held(batch, now_ms())
    await change_batch(stand.plant.book, batch_id, lambda found: replace(found, hold=None))


async def ended(stand: Stand) -> str:
    """A batch that has ended, of which telling has failed."""
    batch_id = await stand.submit(2)
    while not (await stand.batch(batch_id)).status.final:
        assert not await stand.advance(batch_id)
    assert not (await stand.batch(batch_id)).told
    return batch_id


def read(posted: tuple[dict[str, str], bytes]) -> Any:
    """What OpenAI's client makes of it."""
    headers, body = posted
    with OpenAI(api_key="none", base_url="http://127.0.0.1:9") as client:
        return client.webhooks.unwrap(body, headers, secret=SECRET)


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled", "expired"])
async def test_the_webhook_is_told_once_what_became_of_the_batch(stand: Stand, told: Endpoint, status: str) -> None:
    content = b"no json" if status == "failed" else input_of(2)
    over = now_ms() + (-1 if status == "expired" else DAY)
    batch_id = await stand.submit(content=content, expires_at=over)
    if status == "cancelled":
        await stand.cancel(batch_id)
    batch = await stand.finish(batch_id)
    await stand.advance(batch_id)
    (posted,) = told.posted
    event = read(posted)
    assert (event.type, event.data.id, event.object) == (f"batch.{status}", batch_id, "event")
    assert event.created_at == (batch.ended_at or 0) // 1_000
    assert posted[0]["content-type"] == "application/json"
    assert posted[0]["webhook-id"] == event.id == f"evt_{batch_id.removeprefix('batch_')}"


@pytest.mark.parametrize("answer", [500, 404, 301, 307])
async def test_who_refuses_is_told_again_the_same_after_a_pause(stand: Stand, told: Endpoint, answer: int) -> None:
    told.statuses = [answer, answer]
    batch_id = await ended(stand)
    for tries in (1, 2):
        assert not await stand.advance(batch_id)  # in the pause
        assert len(told.posted) == tries
        assert not (await stand.batch(batch_id)).closed
        assert await stand.left(batch_id) == []  # its work is not kept until then
        await pass_time(stand, batch_id)
        if tries == 1:
            assert not await stand.advance(batch_id)
    assert (await stand.finish(batch_id)).told
    assert len({read(posted).id for posted in told.posted}) == 1
    assert len(told.posted) == 3


async def test_who_stays_away_is_given_up_after_days(stand: Stand, told: Endpoint) -> None:
    told.statuses = [500, 500]
    batch_id = await ended(stand)
    long_ago = now_ms() - ending.GIVE_UP - 1
    await change_batch(stand.plant.book, batch_id, lambda found: replace(found, hold=None, ended_at=long_ago))
    assert (await stand.finish(batch_id)).told
    assert len(told.posted) == 2


class Topic:
    """A topic that refuses as often as it is told to."""

    def __init__(self, refusals: int = 0) -> None:
        self.refusals = refusals
        self.events: list[dict[str, Any]] = []

    async def tell(self, event: dict[str, Any]) -> None:
        if self.refusals:
            self.refusals -= 1
            raise NotTold("the topic: no")
        self.events.append(event)


async def test_a_topic_is_not_told_again_because_the_webhook_was_not(stand: Stand, told: Endpoint) -> None:
    topic: Any = Topic()
    stand.plant.batches._ending._notices.topic = topic
    told.statuses = [500]
    batch_id = await ended(stand)
    await pass_time(stand, batch_id)
    await stand.finish(batch_id)
    assert [event["id"] for event in topic.events] == [read(told.posted[0]).id]
    assert orjson.loads(told.posted[1][1]) == topic.events[0]


async def test_a_topic_that_refuses_keeps_no_webhook_from_being_told(stand: Stand, told: Endpoint) -> None:
    topic: Any = Topic(refusals=1)
    stand.plant.batches._ending._notices.topic = topic
    batch_id = await ended(stand)
    assert len(told.posted) == 1
    await pass_time(stand, batch_id)
    assert (await stand.finish(batch_id)).told
    assert len(topic.events) == 1


# -- the secret ---------------------------------------------------------------------------------------


@pytest.fixture
def parameters(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str] | None], list[list[str]]]:
    """Sets what the Parameter Store holds, None for one that is away; the names that were asked for."""
    asked: list[list[str]] = []

    def hold(values: dict[str, str] | None) -> list[list[str]]:
        async def read_parameters(names: Any) -> dict[str, str]:
            asked.append(sorted(names))
            if values is None:
                raise ParametersUnavailable("SSM is away")
            return {name: values[name] for name in asked[-1]}

        monkeypatch.setattr(parameter_store, "read_parameters", read_parameters)
        return asked

    return hold


async def test_a_secret_that_is_kept_elsewhere_is_read_when_it_is_needed_and_again_when_it_is_old(
    parameters: Callable[[dict[str, str] | None], list[list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr(kept_secrets, "monotonic", lambda: clock[0])
    secrets = KeptSecrets(60, first=SecretStr("given"), second=SecretStr("ssm:/there/it/is"))
    asked = parameters({"/there/it/is": "old"})
    assert asked == []
    assert await secrets.get() == await secrets.get() == {"first": "given", "second": "old"}
    assert asked == [["/there/it/is"]]
    parameters({"/there/it/is": "new"})
    clock[0] += 61
    assert (await secrets.get())["second"] == "new"


async def test_a_secret_that_cannot_be_read_is_named_and_tried_again(
    parameters: Callable[[dict[str, str] | None], list[list[str]]],
) -> None:
    secrets = KeptSecrets(60, webhook_secret=SecretStr("ssm:/there"))
    parameters(None)
    with pytest.raises(SecretsUnreadable, match=r"^PENSTOCK_WEBHOOK_SECRET: SSM is away$"):
        await secrets.get()
    parameters({"/there": SECRET})
    assert await secrets.get() == {"webhook_secret": SECRET}


@pytest.mark.parametrize("kept", [None, {"/there": "whsec_too-short"}])
async def test_a_secret_that_is_unusable_is_as_if_nobody_had_answered(
    stand: Stand,
    told: Endpoint,
    kept: dict[str, str] | None,
    parameters: Callable[[dict[str, str] | None], list[list[str]]],
) -> None:
    parameters(kept)
    webhook: Any = stand.plant.batches._ending._notices.webhook
    webhook._secrets = KeptSecrets(0, webhook_secret=SecretStr("ssm:/there"))
    batch_id = await ended(stand)
    batch: Batch = await stand.batch(batch_id)
    assert (told.posted, batch.told) == ([], False)
    parameters({"/there": SECRET})
    await pass_time(stand, batch_id)
    assert (await stand.finish(batch_id)).told
