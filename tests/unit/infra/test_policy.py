"""Every stage's template keeps to the rules, and a template that breaks one is found out."""

from collections.abc import Callable

import pytest

from tests.unit.infra.conftest import Compiled
from tests.unit.infra.deployments import every_deployment
from tests.unit.infra.rules import RULES, breaches
from tests.unit.infra.template import Template


@every_deployment
def test_a_stage_keeps_to_every_rule(compiled: Compiled, deployment: str) -> None:
    assert breaches(compiled(deployment)) == []


# -- each rule, broken


Break = Callable[[Template], object]


def change(name: str, **values: object) -> Break:
    """Properties of a resource, set."""
    return lambda template: template.resources[name]["Properties"].update(values)


def forget(name: str, *keys: str) -> Break:
    """Properties of a resource, left out."""
    return lambda template: [template.resources[name]["Properties"].pop(key) for key in keys]


def first_right(name: str, **values: object) -> Break:
    """Of a managed policy, the first statement, changed."""
    return lambda template: template.resources[name]["Properties"]["PolicyDocument"]["Statement"][0].update(values)


def variable(function: str, **values: str) -> Break:
    return lambda template: template.resources[function]["Properties"]["Environment"]["Variables"].update(values)


def integration(method: str, **values: object) -> Break:
    return lambda template: template.resources[method]["Properties"]["Integration"].update(values)


def lead(method: str, path: str) -> Break:
    """Another end of an integration's URI."""
    return lambda template: template.resources[method]["Properties"]["Integration"]["Uri"]["Fn::Join"][1].append(path)


def drop(name: str) -> Break:
    return lambda template: template.resources.pop(name)


def deployment_alone(template: Template) -> None:
    (name,) = template.of("ApiGateway::Deployment")
    template.resources[name]["DependsOn"].remove("Throttled")


def deployment_with_a_stage(template: Template) -> None:
    (name,) = template.of("ApiGateway::Deployment")
    template.resources[name]["Properties"]["StageName"] = "production"


def firewall_that_reads(template: Template) -> None:
    rule = template.resources["Firewall"]["Properties"]["Rules"][0]
    rule["Statement"]["ManagedRuleGroupStatement"]["Name"] = "AWSManagedRulesCommonRuleSet"


def traced_by_the_function(template: Template) -> None:
    policy = template.resources["EdgeTracingRights"]["Properties"]["PolicyDocument"]
    policy["Statement"][0]["Action"].append("xray:GetTraceSummaries")


def logs_of_all(template: Template) -> None:
    statement = template.resources["EdgeRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"][0]
    statement["Resource"] = {"Fn::GetAtt": ["ReconcilerLogGroup", "Arn"]}


def taken_by_others(template: Template) -> None:
    trust = template.resources["EdgeRole"]["Properties"]["AssumeRolePolicyDocument"]
    trust["Statement"][0]["Principal"] = {"AWS": "*"}


def topic_of_anybody(template: Template) -> None:
    policy = template.resources["AlarmsPolicy"]["Properties"]["PolicyDocument"]
    policy["Statement"][0].update(Principal="*", Condition={})


def notified_of_results(template: Template) -> None:
    (first, _) = template.resources["BatchBucket"]["Properties"]["NotificationConfiguration"]["LambdaConfigurations"]
    first["Filter"]["S3Key"]["Rules"][0]["Value"] = "results/"


def forgotten_event(template: Template) -> None:
    for one in template.of("Lambda::EventInvokeConfig").values():
        one.pop("DestinationConfig", None)


def messages(**values: object) -> Break:
    """The one mapping of a queue to a function, changed."""
    return lambda template: next(iter(template.of("Lambda::EventSourceMapping").values())).update(values)


POST = "ApiGatewayMethodV1ChatCompletionsPost"
ANY = "ApiGatewayMethodV1ChatCompletionsAny"
TABLE = {"Fn::Sub": "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/*"}

BREAKS: dict[str, tuple[Break, str]] = {
    "a shared role": (change("ReconcilerLambdaFunction", Role={"Fn::Sub": "${EdgeRole.Arn}"}), "two functions"),
    "a role for others": (taken_by_others, "EdgeRole may be taken"),
    "any action": (first_right("EdgeRights", Action="dynamodb:*"), "EdgeRights allows dynamodb:*"),
    "any table": (first_right("EdgeRights", Resource=TABLE), "dynamodb:GetItem on"),
    "another table": (variable("EdgeLambdaFunction", PENSTOCK_LEDGER_URL="dynamodb://other"), "uses the table other"),
    "all but one": (first_right("EdgeRights", NotResource="x"), "all but something"),
    "more of X-Ray": (traced_by_the_function, "xray:GetTraceSummaries on *"),
    "another's logs": (logs_of_all, "EdgeLambdaFunction may logs:CreateLogStream"),
    "a topic of anybody's": (topic_of_anybody, "AlarmsPolicy lets"),
    "anybody's function": (forget("EdgeLambdaPermissionApiGateway", "SourceArn"), "more invoke"),
    "a secret in clear": (variable("EdgeLambdaFunction", PENSTOCK_GPU_SECRET="ws-1"), "PENSTOCK_GPU_SECRET in clear"),
    "a secret unread": (variable("EdgeLambdaFunction", PENSTOCK_X="ssm:/other"), "names the secrets"),
    "no TTL": (forget("LedgerTable", "TimeToLiveSpecification"), "no TTL"),
    "other keys": (change("LedgerTable", KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}]), "has the keys"),
    "keys of numbers": (change("LedgerTable", AttributeDefinitions=[{"AttributeType": "N"}]), "no strings"),
    "provisioned": (change("LedgerTable", BillingMode="PROVISIONED"), "not on demand"),
    "no recovery": (forget("LedgerTable", "PointInTimeRecoverySpecification"), "no point-in-time recovery"),
    "no protection": (change("LedgerTable", DeletionProtectionEnabled=False), "not protected"),
    "a table that goes": (lambda one: one.resources["LedgerTable"].update(DeletionPolicy="Delete"), "goes with"),
    "a table in clear": (forget("LedgerTable", "SSESpecification"), "LedgerTable is not encrypted"),
    "a bucket in clear": (forget("BatchBucket", "BucketEncryption"), "BatchBucket is not encrypted"),
    "a queue in clear": (forget("BatchQueue", "SqsManagedSseEnabled"), "BatchQueue is not encrypted"),
    "a public bucket": (forget("BatchBucket", "PublicAccessBlockConfiguration"), "can be made public"),
    "a bucket over HTTP": (drop("BatchBucketPolicy"), "without TLS"),
    "no dead letters": (forget("BatchQueue", "RedrivePolicy"), "no queue of dead letters"),
    "early dead letters": (change("BatchDeadLetters", MessageRetentionPeriod=60), "as long as its dead letters"),
    "an uninvited bucket": (drop("DroppedPermission"), "BatchBucket may not invoke DroppedLambdaFunction"),
    "another's bucket": (forget("BatchPermission", "SourceAccount"), "BatchPermission lets a bucket of another"),
    "a loop": (notified_of_results, "of what functions write: results/*.jsonl"),
    "a lost event": (forgotten_event, "an event that fails in BatchLambdaFunction is lost"),
    "all or none": (messages(FunctionResponseTypes=[]), "takes all messages back with one"),
    "twice at once": (change("BatchQueue", VisibilityTimeout=60), "may come again while QueueLambdaFunction"),
    "edge-optimised": (change("ApiGatewayRestApi", EndpointConfiguration={"Types": ["EDGE"]}), "not regional"),
    "no throttle": (change("ApiStage", MethodSettings=[{"ResourcePath": "/*", "HttpMethod": "*"}]), "any number"),
    "buffered after all": (integration(POST, ResponseTransferMode="BUFFERED"), "leads to"),
    "a URI of its own": (lead(POST, "/x"), "POST /v1/chat/completions leads to"),
    "no snapshot": (forget("EdgeLambdaFunction", "SnapStart"), "leads to"),
    "no permission": (drop("EdgeDashstreamLambdaPermissionApiGateway"), "may not invoke"),
    "no wrapper": (variable("EdgeDashstreamLambdaFunction", AWS_LAMBDA_EXEC_WRAPPER=""), "that cannot"),
    "a wrapper": (variable("EdgeLambdaFunction", AWS_LAMBDA_EXEC_WRAPPER="x"), "that streams"),
    "a long wait": (integration(ANY, TimeoutInMillis=30_000), "longer than API Gateway can"),
    "a longer function": (change("EdgeLambdaFunction", Timeout=29), "may take longer"),
    "a longer stream": (change("EdgeDashstreamLambdaFunction", Timeout=900), "may take longer"),
    "a longer schedule": (change("ReconcilerLambdaFunction", Timeout=60), "scheduled again"),
    "an early deployment": (deployment_alone, "does not wait for Throttled"),
    "a stage beside ours": (deployment_with_a_stage, "makes a stage"),
    "logs for ever": (forget("EdgeLogGroup", "RetentionInDays"), "logs of EdgeLambdaFunction"),
    "unwatched errors": (drop("EdgeStreamErrorsAlarm"), "Errors of EdgeDashstreamLambdaFunction"),
    "unwatched throttles": (drop("EdgeThrottlesAlarm"), "Throttles of EdgeLambdaFunction"),
    "unwatched latency": (drop("EdgeLatencyAlarm"), "no alarm on Duration p99"),
    "unwatched 5xx": (drop("ApiErrorsAlarm"), "no alarm on 5XXError"),
    "unwatched dead letters": (drop("BatchDeadLettersAlarm"), "ApproximateNumberOfMessagesVisible"),
    "a silent alarm": (forget("EdgeErrorsAlarm", "AlarmActions"), "EdgeErrorsAlarm tells nobody"),
    "a silent budget": (change("Budget", NotificationsWithSubscribers=[{"Subscribers": []}]), "Budget tells nobody"),
    "a firewall that reads": (firewall_that_reads, "may look at what is in a request"),
    "no tags": (lambda template: template.tags.clear(), "the tags"),
}


@pytest.mark.parametrize("broken", BREAKS)
def test_a_broken_template_is_found_out(compiled: Compiled, broken: str) -> None:
    break_it, expected = BREAKS[broken]
    template = compiled("production, with all that is optional").copied()
    break_it(template)
    found = breaches(template)
    assert any(expected in line for line in found), found


def test_every_rule_is_broken_by_one_of_these(compiled: Compiled) -> None:
    found = set()
    for break_it, _ in BREAKS.values():
        template = compiled("production, with all that is optional").copied()
        break_it(template)
        found |= {rule for rule in RULES if next(rule(template), None)}
    assert found == set(RULES)
