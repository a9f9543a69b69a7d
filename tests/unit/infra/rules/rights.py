"""Rules about rights: each function has a role of its own, which names each action and each resource."""

import re
from collections.abc import Iterator

from tests.unit.infra.template import Statement, Template, listed, text

# Where a wildcard may be, and why.
WILDCARDS = (
    # X-Ray's actions know no resources.
    ("xray:PutTraceSegments", "*"),
    ("xray:PutTelemetryRecords", "*"),
    # Six characters that Secrets Manager makes up, and the name before them.
    ("secretsmanager:GetSecretValue", "-??????"),
    # Objects, by what their keys begin with.
    *((action, "/*") for action in ("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload")),
    # What a batch is told by, of any batch.
    ("s3:PutObject", "/work/*/poke.event"),
    ("s3:PutObject", "/work/*/stop.json"),
)
SECRET = re.compile("KEY(?!_ID)|SECRET|TOKEN|PASSWORD|CREDENTIAL")


def each_function_has_a_role_of_its_own(template: Template) -> Iterator[str]:
    roles = [template.role_of(function) for function in template.functions().values()]
    for role in sorted({role for role in roles if roles.count(role) > 1}):
        yield f"{role} is the role of two functions"
    for role in sorted(set(template.of("IAM::Role")) - set(roles)):
        yield f"{role} is no function's role"


def lambda_alone_takes_a_role(template: Template) -> Iterator[str]:
    for name, role in template.of("IAM::Role").items():
        for statement in role["AssumeRolePolicyDocument"]["Statement"]:
            if statement["Principal"] != {"Service": "lambda.amazonaws.com"}:
                yield f"{name} may be taken by {statement['Principal']}"


def every_right_is_named(template: Template) -> Iterator[str]:
    for role in template.of("IAM::Role"):
        for statement in template.statements(role):
            yield from _unnamed(statement)


def _unnamed(statement: Statement) -> Iterator[str]:
    if statement.body.keys() & {"NotAction", "NotResource"}:
        yield f"{statement.owner} allows all but something"
        return
    for action in statement.actions:
        if "*" in action:
            yield f"{statement.owner} allows {action}"
        for resource in statement.resources:
            if re.search("[*?]", resource) and not _must_be_wild(action, resource):
                yield f"{statement.owner} allows {action} on {resource}"


def _must_be_wild(action: str, resource: str) -> bool:
    for allowed, wildcard in WILDCARDS:
        if action == allowed and resource.endswith(wildcard):
            return not re.search("[*?]", resource.removesuffix(wildcard))
    return False


def what_others_may_do_is_named(template: Template) -> Iterator[str]:
    """Policies of a bucket, a queue or a topic, and who may invoke a function."""
    for kind in ("S3::BucketPolicy", "SQS::QueuePolicy", "SNS::TopicPolicy"):
        for name, policy in template.of(kind).items():
            for statement in (Statement(name, body) for body in policy["PolicyDocument"]["Statement"]):
                if statement.allows and ("*" in str(statement.body["Principal"]) or "*" in str(statement.actions)):
                    yield f"{name} lets anybody, or do anything"
                if statement.allows and "aws:SourceAccount" not in str(statement.body.get("Condition")):
                    yield f"{name} lets other accounts"
    for name, permission in template.of("Lambda::Permission").items():
        if "*" in permission["Principal"] or "SourceArn" not in permission:
            yield f"{name} lets more invoke than one API or one rule"


def logs_are_each_functions_own(template: Template) -> Iterator[str]:
    for name, function in template.functions().items():
        own = [
            key for key, group in template.of("Logs::LogGroup").items() if _logs_of(function) == group["LogGroupName"]
        ]
        for statement in template.statements(template.role_of(function)):
            for action in statement.actions:
                if action.startswith("logs:") and statement.resources != [f"${{{key}.Arn}}" for key in own]:
                    yield f"{name} may {action} on {statement.resources}"


def _logs_of(function: dict[str, str]) -> str:
    return f"/aws/lambda/{function['FunctionName']}"


def no_secret_is_in_an_environment(template: Template) -> Iterator[str]:
    for name, function in template.functions().items():
        for variable, value in function["Environment"]["Variables"].items():
            if SECRET.search(variable) and not text(value).startswith("ssm:/"):
                yield f"{name} has {variable} in clear"


def secrets_may_be_read_where_they_are_named(template: Template) -> Iterator[str]:
    """A function may read those parameters that its environment names, and no others."""
    for name, function in template.functions().items():
        variables = map(text, function["Environment"]["Variables"].values())
        named = {value.removeprefix("ssm:") for value in variables if value.startswith("ssm:")}
        statements = template.statements(template.role_of(function))
        reads = [one for one in statements if any(action.startswith("ssm:") for action in one.actions)]
        allowed = {resource.partition(":parameter")[2] for statement in reads for resource in statement.resources}
        if named != allowed:
            yield f"{name} names the secrets {sorted(named)} and may read {sorted(allowed)}"
        for action in (action for statement in reads for action in statement.actions if action != "ssm:GetParameters"):
            yield f"{name} may {action}"


def the_ledger_is_the_one_that_is_named(template: Template) -> Iterator[str]:
    for name, function in template.functions().items():
        table = function["Environment"]["Variables"]["PENSTOCK_LEDGER_URL"].removeprefix("dynamodb://")
        for statement in template.statements(template.role_of(function)):
            of_tables = any(action.startswith("dynamodb:") for action in listed(statement.actions))
            if of_tables and [one.partition(":table/")[2] for one in statement.resources] != [table]:
                yield f"{name} uses the table {table} and has rights on {statement.resources}"


RULES = (
    each_function_has_a_role_of_its_own,
    lambda_alone_takes_a_role,
    every_right_is_named,
    what_others_may_do_is_named,
    logs_are_each_functions_own,
    no_secret_is_in_an_environment,
    secrets_may_be_read_where_they_are_named,
    the_ledger_is_the_one_that_is_named,
)
