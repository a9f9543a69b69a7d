"""Batches, on the deployed stack, by each of their ways in: the bucket, the queue, and the API.

Workers are containers of a local control plane of Modal's. What goes from function to function goes by S3's events and
by the queue; nothing here invokes a function, but where an event is brought a second time.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from penstock.keys import parse
from tests.control_plane.fixtures import linux
from tests.control_plane.running import ControlPlane
from tests.e2e.service import on_ledger, wait_for
from tests.integration.aws.account import aws
from tests.integration.aws.deployment import Deployment
from tests.integration.aws.workers import workers

__all__ = ["linux"]

PATIENCE_S = 240.0  # of a machine with two cores, which starts torch, functions and containers
LINES = 6


@pytest.fixture(scope="module")
def plane(linux: None, cloud: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """The workers of the stack."""
    with workers(cloud, tmp_path_factory.mktemp("modal")) as plane:
        yield plane


@pytest.fixture
def bucket(cloud: Deployment, plane: ControlPlane) -> str:
    """The stack's bucket, with workers."""
    assert plane.url
    return cloud.stack.outputs()["BatchBucket"]


def id_of(key: str) -> str:
    parsed = parse(key)
    assert parsed is not None
    return parsed.id


def line(custom_id: str, **body: Any) -> dict[str, Any]:
    """A line of a batch's input."""
    asked = {"model": "demo", "messages": [{"role": "user", "content": f"Say {custom_id}."}], "max_tokens": 4}
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": {**asked, **body}}


def jsonl(lines: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in lines)


def put(bucket: str, key: str, content: bytes) -> None:
    aws("s3", "put_object", Bucket=bucket, Key=key, Body=content)


def got(bucket: str, key: str) -> list[dict[str, Any]] | None:
    """The lines of an object; None where there is none."""
    listed = aws("s3", "list_objects_v2", Bucket=bucket, Prefix=key).get("Contents", [])
    if key not in [each["Key"] for each in listed]:
        return None
    content = aws("s3", "get_object", Bucket=bucket, Key=key)["Body"].read()
    return [json.loads(each) for each in content.splitlines()]


def waited_for(cloud: Deployment, plane: ControlPlane, bucket: str, key: str) -> list[dict[str, Any]]:
    """An object's lines, as soon as it is there. Shows what everybody wrote where it does not come."""
    try:
        found = wait_for(key, lambda: got(bucket, key), patience=PATIENCE_S)
    except AssertionError as error:
        objects = [each["Key"] for each in aws("s3", "list_objects_v2", Bucket=bucket).get("Contents", [])]
        names = ("dropped", "batch", "queue", "reconciler")
        logs = "\n".join(f"{name}:\n{cloud.stack.log(name)[-3_000:]}" for name in names)
        raise AssertionError(f"{error}\n{objects}\n{logs}\n{plane.logs()}") from error
    return list(found)


def used(cloud: Deployment, account: str) -> tuple[int, int]:
    """The account's prompt and completion tokens, as the ledger sums them."""
    rows = [row.usage for row in on_ledger(cloud.ledger, lambda ledger: ledger.usage(account_id=account))]
    return sum(row.prompt_tokens for row in rows), sum(row.completion_tokens for row in rows)


def told(lines: list[dict[str, Any]]) -> tuple[int, int]:
    """The same, as the lines say it."""
    usages = [each["response"]["body"]["usage"] for each in lines]
    return sum(each["prompt_tokens"] for each in usages), sum(each["completion_tokens"] for each in usages)


def test_a_file_in_the_bucket_becomes_results_in_the_bucket(
    cloud: Deployment, plane: ControlPlane, bucket: str
) -> None:
    account = cloud.account()
    key_id = id_of(cloud.key(account))
    put(bucket, f"incoming/{key_id}/nightly.jsonl", jsonl([line(f"line-{number}") for number in range(LINES)]))
    (batch,) = waited_for(cloud, plane, bucket, f"results/{key_id}/nightly.batch.json")
    assert batch["status"] == "completed"
    output = got(bucket, f"results/{key_id}/nightly.output.jsonl")
    assert output is not None
    assert [each["custom_id"] for each in output] == [f"line-{number}" for number in range(LINES)]
    assert got(bucket, f"results/{key_id}/nightly.errors.jsonl") is None
    assert used(cloud, account) == told(output) != (0, 0)
    _nothing_is_left(bucket, batch["id"])


def test_what_is_wrong_with_a_file_is_in_the_bucket(cloud: Deployment, plane: ControlPlane, bucket: str) -> None:
    account = cloud.account()
    key_id = id_of(cloud.key(account))
    put(bucket, f"incoming/{key_id}/wrong.jsonl", jsonl([line("fine"), line("long", max_tokens=100_000)]) + b"{\n")
    (batch,) = waited_for(cloud, plane, bucket, f"results/{key_id}/wrong.batch.json")
    assert batch["status"] == "failed"
    assert [error["line"] for error in batch["errors"]["data"]] == [2, 3]
    assert used(cloud, account) == (0, 0)


def test_an_event_that_comes_twice_changes_nothing(cloud: Deployment, plane: ControlPlane, bucket: str) -> None:
    account = cloud.account()
    key_id = id_of(cloud.key(account))
    key = f"incoming/{key_id}/twice.jsonl"
    with _brought_by_hand(bucket):
        put(bucket, key, jsonl([line("one"), line("two")]))
        for _ in range(2):
            assert cloud.stack.invoke("dropped", _s3_event(bucket, key)) == {"batches": 1}
    (batch,) = waited_for(cloud, plane, bucket, f"results/{key_id}/twice.batch.json")
    poke = f"work/{batch['id']}/poke.event"
    assert cloud.stack.invoke("batch", _s3_event(bucket, poke)) == {"batches": 1, "closed": 1}
    assert cloud.stack.invoke("dropped", _s3_event(bucket, key)) == {"batches": 1}
    output = got(bucket, f"results/{key_id}/twice.output.jsonl")
    assert output is not None
    assert [each["custom_id"] for each in output] == ["one", "two"]
    assert used(cloud, account) == told(output)


def test_a_message_is_answered_and_a_poisonous_one_is_a_dead_letter(
    cloud: Deployment, plane: ControlPlane, bucket: str
) -> None:
    account = cloud.account()
    key_id = id_of(cloud.key(account))
    queue, dead = cloud.stack.outputs()["BatchQueue"], _dead_letters(cloud)
    # What fails comes again at once, and not after twelve minutes.
    aws("sqs", "set_queue_attributes", QueueUrl=queue, Attributes={"VisibilityTimeout": "1"})
    asked = {name: value for name, value in line("asked").items() if name in ("url", "body")}
    bodies = [
        json.dumps({"request": {**asked, "key_id": key_id, "custom_id": "first"}}),
        "poison",
        json.dumps({"request": {**asked, "key_id": "nobody"}}),
        json.dumps({"request": {**asked, "key_id": key_id, "custom_id": "last"}}),
    ]
    entries = [{"Id": str(place), "MessageBody": body} for place, body in enumerate(bodies)]
    sent = aws("sqs", "send_message_batch", QueueUrl=queue, Entries=entries)["Successful"]
    ids = {int(each["Id"]): each["MessageId"] for each in sent}
    outputs = []
    for place, custom_id in ((0, "first"), (3, "last")):
        (answer,) = waited_for(cloud, plane, bucket, f"results/queue/{ids[place]}.output.jsonl")
        assert answer["custom_id"] == custom_id
        outputs.append(answer)
    wait_for("the usage of both", lambda: used(cloud, account) == told(outputs), patience=PATIENCE_S)
    found: set[str] = set()

    def received() -> bool:
        answer = aws("sqs", "receive_message", QueueUrl=dead, MaxNumberOfMessages=10)
        found.update(message["Body"] for message in answer.get("Messages", ()))
        return {bodies[1], bodies[2]} <= found

    wait_for("the dead letters", received, patience=PATIENCE_S)
    assert found.isdisjoint({bodies[0], bodies[3]})


def test_openais_client_has_a_batch_done_and_the_topic_tells_its_end(cloud: Deployment, plane: ControlPlane) -> None:
    heard = _subscribed(cloud)
    account = cloud.account()
    client = cloud.client(cloud.key(account))
    content = jsonl([line(f"line-{number}") for number in range(LINES)])
    uploaded = client.files.create(file=("in.jsonl", content), purpose="batch")
    made = client.batches.create(
        input_file_id=uploaded.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"run": "1"}
    )
    assert made.status == "validating"
    batch = wait_for("the batch", lambda: _ended(client.batches.retrieve(made.id)), patience=PATIENCE_S)
    assert (batch.status, batch.error_file_id, batch.metadata) == ("completed", None, {"run": "1"})
    counts = batch.request_counts
    assert (counts.total, counts.completed, counts.failed) == (LINES, LINES, 0)
    output = [json.loads(each) for each in client.files.content(batch.output_file_id).text.splitlines()]
    assert [each["custom_id"] for each in output] == [f"line-{number}" for number in range(LINES)]
    assert used(cloud, account) == told(output)

    def told_of() -> list[dict[str, Any]]:
        answer = aws("sqs", "receive_message", QueueUrl=heard, MaxNumberOfMessages=10)
        events = [json.loads(json.loads(each["Body"])["Message"]) for each in answer.get("Messages", ())]
        return [event for event in events if event["data"]["id"] == batch.id]

    (event, *_) = wait_for("the topic", told_of, patience=PATIENCE_S)
    assert event["type"] == "batch.completed"
    assert plane.url


def _ended(batch: Any) -> Any:
    return batch if batch.status in ("completed", "failed", "expired", "cancelled") else None


def _nothing_is_left(bucket: str, batch_id: str) -> None:
    """Of the batch's work."""

    def listed() -> bool:
        return not aws("s3", "list_objects_v2", Bucket=bucket, Prefix=f"work/{batch_id}/").get("Contents")

    wait_for("the end of its work", listed, patience=PATIENCE_S)


def _dead_letters(cloud: Deployment) -> str:
    return cloud.stack.resources("AWS::SQS::Queue")["BatchDeadLetters"]


def _subscribed(cloud: Deployment) -> str:
    """A queue that gets what the topic is told."""
    queue: str = aws("sqs", "create_queue", QueueName="heard")["QueueUrl"]
    arn = aws("sqs", "get_queue_attributes", QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = cloud.stack.outputs()["BatchTopic"]
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    aws("sqs", "set_queue_attributes", QueueUrl=queue, Attributes={"Policy": policy})
    aws("sns", "subscribe", TopicArn=topic, Protocol="sqs", Endpoint=arn)
    return queue


@contextmanager
def _brought_by_hand(bucket: str) -> Iterator[None]:
    """Meanwhile S3 tells nobody of drops."""
    configured = aws("s3", "get_bucket_notification_configuration", Bucket=bucket)
    configured.pop("ResponseMetadata")
    others = [one for one in configured["LambdaFunctionConfigurations"] if "-dropped" not in one["LambdaFunctionArn"]]
    alone = {"LambdaFunctionConfigurations": others}
    aws("s3", "put_bucket_notification_configuration", Bucket=bucket, NotificationConfiguration=alone)
    try:
        yield
    finally:
        aws("s3", "put_bucket_notification_configuration", Bucket=bucket, NotificationConfiguration=configured)


def _s3_event(bucket: str, key: str) -> dict[str, Any]:
    """What S3 tells of an object, the same each time."""
    told_of = {"bucket": {"name": bucket}, "object": {"key": key, "size": 1, "eTag": "0a", "sequencer": "00A1"}}
    return {"Records": [{"eventName": "ObjectCreated:Put", "eventTime": "2026-11-27T10:00:00.000Z", "s3": told_of}]}
