"""Rules about what starts a function without a caller: that it may, is not lost, and that no result starts anything."""

from collections.abc import Iterator

from penstock.batches.addresses import EVENT, INCOMING, WORK
from tests.unit.infra.template import Properties, Template, text

VISIBLE_AFTER = 6  # times what the function may take: AWS Lambda's guide, "Using Lambda with Amazon SQS"


def notified(template: Template) -> Iterator[tuple[str, Properties, str]]:
    """A bucket, one of its notifications, and the function that gets it."""
    for bucket, properties in template.of("S3::Bucket").items():
        for one in properties.get("NotificationConfiguration", {}).get("LambdaConfigurations", ()):
            yield bucket, one, text(one["Function"]).removeprefix("${").removesuffix(".Arn}")


def a_bucket_may_invoke_what_it_notifies(template: Template) -> Iterator[str]:
    """And from no other account: names of buckets are everybody's, once they are free."""
    for bucket, _, function in notified(template):
        arn = f"arn:${{AWS::Partition}}:s3:::{text(template.resources[bucket]['Properties']['BucketName'])}"
        permissions = template.of("Lambda::Permission")
        fitting = [
            name
            for name, one in permissions.items()
            if text(one["FunctionName"]) == f"${{{function}.Arn}}" and one["Principal"] == "s3.amazonaws.com"
        ]
        if not any(text(permissions[name].get("SourceArn", "")) == arn for name in fitting):
            yield f"{bucket} may not invoke {function}"
        for name in fitting:
            if permissions[name].get("SourceAccount") != {"Ref": "AWS::AccountId"}:
                yield f"{name} lets a bucket of another account"
            if name not in template.resources[bucket].get("DependsOn", ()):
                yield f"{bucket} may be made before {name}"


def results_start_nothing(template: Template) -> Iterator[str]:
    for bucket, one, function in notified(template):
        named = {rule["Name"]: rule["Value"] for rule in one["Filter"]["S3Key"]["Rules"]}
        prefix, suffix = named.get("prefix", ""), named.get("suffix", "")
        if not (prefix.startswith(INCOMING) or (prefix == WORK and suffix == EVENT)):
            yield f"{bucket} tells {function} of what functions write: {prefix}*{suffix}"


def an_event_that_fails_is_kept(template: Template) -> Iterator[str]:
    kept = {
        text(one["FunctionName"]).removeprefix("${").removesuffix("}")
        for one in template.of("Lambda::EventInvokeConfig").values()
        if one.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
    }
    for function in sorted({function for _, _, function in notified(template)} - kept):
        yield f"an event that fails in {function} is lost"


def a_message_is_taken_back_alone_and_late_enough(template: Template) -> Iterator[str]:
    for name, mapping in template.of("Lambda::EventSourceMapping").items():
        if mapping.get("FunctionResponseTypes") != ["ReportBatchItemFailures"]:
            yield f"{name} takes all messages back with one"
        queue = text(mapping["EventSourceArn"]).removeprefix("${").removesuffix(".Arn}")
        function = text(mapping["FunctionName"]).removeprefix("${").removesuffix(".Arn}")
        longest = template.functions()[function]["Timeout"]
        if template.of("SQS::Queue")[queue]["VisibilityTimeout"] < VISIBLE_AFTER * longest:
            yield f"a message of {queue} may come again while {function} still works on it"


RULES = (
    a_bucket_may_invoke_what_it_notifies,
    results_start_nothing,
    an_event_that_fails_is_kept,
    a_message_is_taken_back_alone_and_late_enough,
)
