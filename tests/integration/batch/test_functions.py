"""The functions of files, events and messages, as S3 and SQS invoke them, with AWS's own events, more than once."""

import asyncio
import copy
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import orjson
import pytest

from functions.batch import function as shared
from functions.batch.workers import CallState, WorkersUnavailable
from penstock.batches import addresses
from penstock.batches.orders import Order
from penstock.batches.records import ShardState, Status
from penstock.clock import now_ms
from tests.integration.batch.function import Context, Function
from tests.integration.batch.stand import CHAT, Stand, input_of, standing

pytestmark = pytest.mark.anyio

EVENTS = Path(__file__).with_name("events")
PUT = orjson.loads((EVENTS / "s3_put.json").read_bytes())["Records"][0]
MESSAGE = orjson.loads((EVENTS / "sqs.json").read_bytes())["Records"][0]


TODAY = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Recorded:
    """Workers that only take note of what they are to do."""

    def __init__(self, *, away: bool = False) -> None:
        self.orders: list[Order] = []
        self.cancelled: list[str] = []
        self.away = away

    async def start(self, order: Order) -> str:
        if self.away:
            raise WorkersUnavailable("away")
        self.orders.append(order)
        name = f"call-{len(self.orders)}"
        await asyncio.sleep(0.01)
        return name

    async def state(self, model: str, call: str) -> CallState:
        return CallState.RUNNING

    async def cancel(self, model: str, call: str) -> None:
        self.cancelled.append(call)

    async def close(self) -> None:
        pass


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    """The stores that the functions work on, as a test looks at them."""
    async with standing(tmp_path) as made:
        yield made


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    """The functions' workers."""
    recorded = Recorded()
    monkeypatch.setattr(shared, "ModalWorkers", lambda settings: recorded)
    return recorded


@pytest.fixture
async def start(
    stand: Stand, workers: Recorded, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[[str], Function]]:
    """Starts functions."""
    settings = stand.plant.settings
    monkeypatch.setenv("PENSTOCK_LEDGER_URL", settings.ledger_url)
    monkeypatch.setenv("PENSTOCK_OBJECTS_URL", settings.objects_url)
    monkeypatch.setenv("PENSTOCK_CONFIG", str(settings.config))
    monkeypatch.setenv("PENSTOCK_SHARD_LINES", "2")
    monkeypatch.setenv("PENSTOCK_SERVICE_KEY_ID", "acme_key")
    started: list[Function] = []

    def run(name: str) -> Function:
        started.append(Function(name))
        return started[-1]

    yield run
    for function in started:
        await function.end()


def put(key: str, **changes: Any) -> dict[str, Any]:
    """S3's event of an object."""
    record = copy.deepcopy(PUT)
    record["eventTime"] = TODAY
    record["s3"]["object"] |= {"key": quote_plus(key, safe="/"), **changes}
    return {"Records": [record]}


def messages(*bodies: object) -> dict[str, Any]:
    """SQS's event of messages; their ids are message-1 and so on."""
    records = []
    for number, body in enumerate(bodies, 1):
        text = body if isinstance(body, str) else orjson.dumps(body).decode()
        attributes = MESSAGE["attributes"] | {"SentTimestamp": str(now_ms() - 1_000)}
        records.append(MESSAGE | {"messageId": f"message-{number}", "body": text, "attributes": attributes})
    return {"Records": records}


def failures(answer: dict[str, Any]) -> list[str]:
    return [item["itemIdentifier"] for item in answer["batchItemFailures"]]


# -- files --------------------------------------------------------------------------------------------


async def the_batches(stand: Stand, account: str = "acme") -> list[Any]:
    return list(await stand.plant.book.batches(account))


async def test_a_dropped_file_becomes_one_batch_however_often_it_is_told(
    start: Callable[[str], Function], stand: Stand
) -> None:
    await stand.plant.objects.put("incoming/monday's work.jsonl", input_of(3))
    dropped = start("dropped")
    for _ in range(2):
        assert await dropped.invoke(put("incoming/monday's work.jsonl")) == {"batches": 1}
    (batch,) = await the_batches(stand)
    assert (batch.status, batch.endpoint, batch.key_id) == (Status.VALIDATING, "", "acme_key")
    assert await stand.left(batch.id) == [addresses.poke(batch.id)]
    file = await stand.plant.book.file("acme", batch.input_file_id)
    assert file is not None
    assert (file.filename, file.size, file.address) == ("monday's work.jsonl", 1024, "incoming/monday's work.jsonl")
    ended = await stand.finish(batch.id)
    assert (ended.status, ended.completed) == (Status.COMPLETED, 3)
    assert [line["custom_id"] for line in await stand.lines("results/monday's work.output.jsonl")] == [
        "line-1",
        "line-2",
        "line-3",
    ]
    document = orjson.loads(await stand.plant.objects.get("results/monday's work.batch.json"))
    assert (document["status"], document["request_counts"]["completed"]) == ("completed", 3)
    # Told once more, when all is over: nothing is made, and nothing written that nobody would remove.
    assert await dropped.invoke(put("incoming/monday's work.jsonl")) == {"batches": 1}
    assert await stand.left(batch.id) == []
    assert len(await the_batches(stand)) == 1


async def test_the_same_name_dropped_again_is_another_batch(start: Callable[[str], Function], stand: Stand) -> None:
    dropped = start("dropped")
    await dropped.invoke(put("incoming/a.jsonl"))
    await dropped.invoke(put("incoming/a.jsonl", sequencer="0A1B2C3D4E5F678902"))
    assert len(await the_batches(stand)) == 2


async def test_a_folder_names_the_key_that_pays(start: Callable[[str], Function], stand: Stand) -> None:
    await start("dropped").invoke(put("incoming/small_key/a.jsonl"))
    (batch,) = await the_batches(stand, "small")
    assert (batch.key_id, batch.output_address) == ("small_key", "results/small_key/a.output.jsonl")


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("incoming/nobody/a.jsonl", "There is no API key with the id 'nobody'."),
        ("incoming/small_key/deeper/a.jsonl", "A file is dropped as"),
    ],
)
async def test_a_file_that_nobody_pays_for_has_its_reason_beside_the_results(
    start: Callable[[str], Function], stand: Stand, key: str, said: str
) -> None:
    assert await start("dropped").invoke(put(key)) == {"batches": 0}
    name = key.removeprefix("incoming/").removesuffix(".jsonl")
    (line,) = await stand.lines(f"results/{name}.errors.jsonl")
    assert line["error"]["code"] == "invalid_drop"
    assert line["error"]["message"].startswith(said)
    assert await stand.plant.book.open_batches() == []


async def test_an_event_of_something_else_is_an_error(start: Callable[[str], Function]) -> None:
    with pytest.raises(ValueError, match=r"^this is no event of S3: KeyError: 's3'$"):
        await start("dropped").invoke({"Records": [{"eventSource": "aws:sns"}]})


# -- events -------------------------------------------------------------------------------------------


async def test_an_event_takes_its_batch_further_and_may_come_twice(
    start: Callable[[str], Function], stand: Stand, workers: Recorded
) -> None:
    batch_id = await stand.submit(3)
    first, second = start("events"), start("events")
    event = put(addresses.poke(batch_id))
    await asyncio.gather(first.invoke(event), second.invoke(event))
    await first.invoke(event)
    assert (await stand.batch(batch_id)).status is Status.IN_PROGRESS
    assert await stand.states(batch_id) == [ShardState.RUNNING] * 2
    assert sorted({order.shard for order in workers.orders}) == [0, 1]
    kept = {shard.call for shard in await stand.shards(batch_id)}
    assert len(workers.cancelled) == len(workers.orders) - 2
    assert kept.isdisjoint(workers.cancelled)


async def test_an_event_of_no_batch_does_nothing(start: Callable[[str], Function]) -> None:
    assert await start("events").invoke(put("results/a.output.jsonl")) == {"batches": 0, "closed": 0}
    assert await start("events").invoke(put("work/batch_gone/poke.event")) == {"batches": 1, "closed": 1}


async def test_a_pass_whose_time_is_up_lets_go_and_the_next_goes_on(
    start: Callable[[str], Function], stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_id = await stand.submit(3)
    events = start("events")
    await events.invoke(put("work/batch_gone/poke.event"))  # opens what it needs
    plant = events.module._function._plant

    async def forever(*_: object) -> None:
        await asyncio.Event().wait()

    with monkeypatch.context() as hanging:
        hanging.setattr(plant.batches._validating, "_validated", forever)
        answer = await events.invoke(put(addresses.poke(batch_id)), Context(remaining_s=6))
    assert answer == {"batches": 1, "closed": 0}
    batch = await stand.batch(batch_id)
    assert (batch.status, batch.hold) == (Status.VALIDATING, None)
    await events.invoke(put(addresses.poke(batch_id)))
    assert (await stand.batch(batch_id)).status is Status.IN_PROGRESS


# -- messages -----------------------------------------------------------------------------------------


async def sent(stand: Stand) -> str:
    """A batch with two shards that are to be started."""
    batch_id = await stand.submit(3)
    await stand.advance(batch_id, fill=False)
    return batch_id


def shard(batch_id: str, number: int) -> dict[str, Any]:
    return {"shard": {"batch_id": batch_id, "number": number}}


async def test_a_shard_is_started_once_however_often_its_message_comes(
    start: Callable[[str], Function], stand: Stand, workers: Recorded
) -> None:
    batch_id = await sent(stand)
    queue = start("queue")
    event = messages(*[shard(batch_id, 0)] * 3, shard(batch_id, 1))
    assert failures(await queue.invoke(event)) == []
    assert failures(await queue.invoke(event)) == []
    assert await stand.states(batch_id) == [ShardState.RUNNING] * 2
    running = {one.call for one in await stand.shards(batch_id)}
    assert len(running) == len(workers.orders) - len(workers.cancelled) == 2
    assert [one.attempt for one in await stand.shards(batch_id)] == [1, 1]


async def test_messages_of_what_is_gone_are_done(start: Callable[[str], Function], stand: Stand) -> None:
    batch_id = await stand.submit(2)
    await stand.finish(batch_id)
    assert failures(await start("queue").invoke(messages(shard(batch_id, 0), shard("batch_gone", 7)))) == []


async def test_a_shard_waits_again_where_no_worker_can_be_reached(
    start: Callable[[str], Function], stand: Stand, workers: Recorded
) -> None:
    batch_id = await sent(stand)
    workers.away = True
    assert failures(await start("queue").invoke(messages(shard(batch_id, 0)))) == []
    (first, _) = await stand.shards(batch_id)
    assert (first.state, first.attempt) == (ShardState.WAITING, 0)
    assert first.since > now_ms()


async def test_a_request_is_a_batch_of_one_line_however_often_it_comes(
    start: Callable[[str], Function], stand: Stand
) -> None:
    body = {"model": "demo", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}
    event = messages(
        {"request": {"url": CHAT, "body": body}},
        {"request": {"url": CHAT, "body": body, "custom_id": "mine", "key_id": "small_key"}},
    )
    queue = start("queue")
    for _ in range(2):
        assert failures(await queue.invoke(event)) == []
    (first,), (second,) = await the_batches(stand), await the_batches(stand, "small")
    await stand.finish(first.id)
    await stand.finish(second.id)
    assert [line["custom_id"] for line in await stand.lines("results/queue/message-1.output.jsonl")] == ["message-1"]
    assert [line["custom_id"] for line in await stand.lines("results/queue/message-2.output.jsonl")] == ["mine"]
    assert (await stand.billed())[0] == 2
    assert await stand.plant.objects.size("results/queue/message-2.batch.json") is not None


@pytest.mark.parametrize(
    "bad",
    [
        "no json",
        "[]",
        {},
        {"shard": {"batch_id": "batch_1", "number": -1}},
        {"shard": {"batch_id": "../etc", "number": 0}},
        {"shard": {"batch_id": "batch_1", "number": 0}, "request": {"url": CHAT, "body": {}}},
        {"request": {"url": CHAT}},
        {"request": {"url": CHAT, "body": {}, "key_id": "nobody"}},
        {"request": {"url": CHAT, "body": {}, "surprise": 1}},
    ],
)
async def test_a_malformed_message_fails_alone(start: Callable[[str], Function], stand: Stand, bad: object) -> None:
    batch_id = await sent(stand)
    answer = await start("queue").invoke(messages(shard(batch_id, 0), bad, shard(batch_id, 1)))
    assert failures(answer) == ["message-2"]
    assert await stand.states(batch_id) == [ShardState.RUNNING] * 2


async def test_messages_for_which_there_is_no_time_come_again(start: Callable[[str], Function], stand: Stand) -> None:
    batch_id = await sent(stand)
    queue, event = start("queue"), messages(shard(batch_id, 0), shard(batch_id, 1))
    assert failures(await queue.invoke(event, Context(remaining_s=1))) == ["message-1", "message-2"]
    assert failures(await queue.invoke(event)) == []
    assert await stand.states(batch_id) == [ShardState.RUNNING] * 2
