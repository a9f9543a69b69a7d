"""The account that is deployed into, as its owner sees it: by calls to AWS, with all rights."""

from typing import Any, NamedTuple

from botocore.session import get_session


class Kind(NamedTuple):
    """What is made in an account, and how it is listed: one `part` of each of the `items` is its name."""

    service: str
    operation: str
    items: str
    part: str | None = None


KINDS = (
    Kind("apigateway", "get_rest_apis", "items", "id"),
    Kind("cloudformation", "describe_stacks", "Stacks", "StackName"),
    Kind("cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName"),
    Kind("dynamodb", "list_tables", "TableNames"),
    Kind("events", "list_rules", "Rules", "Name"),
    Kind("iam", "list_roles", "Roles", "RoleName"),
    Kind("lambda", "list_functions", "Functions", "FunctionName"),
    Kind("logs", "describe_log_groups", "logGroups", "logGroupName"),
    Kind("s3", "list_buckets", "Buckets", "Name"),
    Kind("scheduler", "list_schedules", "Schedules", "Name"),
    Kind("sns", "list_topics", "Topics", "TopicArn"),
    Kind("sqs", "list_queues", "QueueUrls"),
    Kind("ssm", "describe_parameters", "Parameters", "Name"),
)


def aws(service: str, operation: str, **parameters: Any) -> Any:
    """AWS's answer to one operation. Raises botocore's errors."""
    client = get_session().create_client(service)
    try:
        return getattr(client, operation)(**parameters)
    finally:
        client.close()


def inventory() -> dict[str, set[str]]:
    """The names of all that is in the account, by service."""
    return {kind.service: _names(kind) for kind in KINDS}


def _names(kind: Kind) -> set[str]:
    items = aws(kind.service, kind.operation).get(kind.items, [])
    return {item if kind.part is None else item[kind.part] for item in items}
