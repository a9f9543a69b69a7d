"""Rules about what is kept: the table as the ledger wants it, all of it encrypted, and in production kept for good."""

from collections.abc import Iterator

from penstock.ledger.dynamodb.keys import PARTITION, SORT
from penstock.ledger.dynamodb.schema import EXPIRES
from tests.unit.infra.template import Properties, Template, listed

CLOSED = dict.fromkeys(("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True)
KEPT = ("DynamoDB::Table", "S3::Bucket")
DEPLOYMENTS = "ServerlessDeploymentBucket"  # zips, which another deployment makes anew


def the_table_is_the_ledgers(template: Template) -> Iterator[str]:
    for name, table in template.of("DynamoDB::Table").items():
        keys = [(key["AttributeName"], key["KeyType"]) for key in table["KeySchema"]]
        if keys != [(PARTITION, "HASH"), (SORT, "RANGE")]:
            yield f"{name} has the keys {keys}"
        if {one["AttributeType"] for one in table["AttributeDefinitions"]} != {"S"}:
            yield f"{name} has keys that are no strings"
        if table["BillingMode"] != "PAY_PER_REQUEST":
            yield f"{name} is not on demand"
        if table.get("TimeToLiveSpecification") != {"AttributeName": EXPIRES, "Enabled": True}:
            yield f"{name} has no TTL on {EXPIRES}"


def the_table_can_be_restored(template: Template) -> Iterator[str]:
    for name, table in template.of("DynamoDB::Table").items():
        if table.get("PointInTimeRecoverySpecification") != {"PointInTimeRecoveryEnabled": True}:
            yield f"{name} has no point-in-time recovery"


def production_is_kept(template: Template) -> Iterator[str]:
    if template.stage != "production":
        return
    for name, table in template.of("DynamoDB::Table").items():
        if table.get("DeletionProtectionEnabled") is not True:
            yield f"{name} is not protected from deletion"
    for name in (name for kind in KEPT for name in template.of(kind) if name != DEPLOYMENTS):
        policies = {template.resources[name].get(policy) for policy in ("DeletionPolicy", "UpdateReplacePolicy")}
        if policies != {"Retain"}:
            yield f"{name} goes with the stack"


def all_is_encrypted(template: Template) -> Iterator[str]:
    for name, table in template.of("DynamoDB::Table").items():
        if table.get("SSESpecification") != {"SSEEnabled": True}:
            yield f"{name} is not encrypted with a key of the account"
    for name, bucket in template.of("S3::Bucket").items():
        if "ServerSideEncryptionConfiguration" not in bucket.get("BucketEncryption", {}):
            yield f"{name} is not encrypted"
    for name, queue in template.of("SQS::Queue").items():
        if queue.get("SqsManagedSseEnabled") is not True:
            yield f"{name} is not encrypted"


def buckets_are_private(template: Template) -> Iterator[str]:
    for name, bucket in template.of("S3::Bucket").items():
        if bucket.get("PublicAccessBlockConfiguration") != CLOSED:
            yield f"{name} can be made public"
        policies = [one for one in template.of("S3::BucketPolicy").values() if one["Bucket"] == {"Ref": name}]
        if not any(_over_tls_alone(statement) for one in policies for statement in one["PolicyDocument"]["Statement"]):
            yield f"{name} may be used without TLS"


def _over_tls_alone(statement: Properties) -> bool:
    over_http = str(statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport")).lower() == "false"
    return over_http and statement["Effect"] == "Deny" and listed(statement["Action"]) == ["s3:*"]


def what_fails_is_not_lost(template: Template) -> Iterator[str]:
    queues = template.of("SQS::Queue")
    ends = {one["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0] for one in queues.values() if _led_on(one)}
    for name, queue in queues.items():
        if name not in ends and not _led_on(queue):
            yield f"{name} has no queue of dead letters"
        if _led_on(queue) and any(queues[end]["MessageRetentionPeriod"] <= _retained(queue) for end in ends):
            yield f"{name} keeps messages as long as its dead letters are kept"


def _led_on(queue: Properties) -> bool:
    return "RedrivePolicy" in queue


def _retained(queue: Properties) -> int:
    retained: int = queue["MessageRetentionPeriod"]
    return retained


RULES = (
    the_table_is_the_ledgers,
    the_table_can_be_restored,
    production_is_kept,
    all_is_encrypted,
    buckets_are_private,
    what_fails_is_not_lost,
)
