"""The functions as AWS shows them: what they are told, what they log, and what they may do."""

import json

import pytest
from botocore.session import get_session

from tests.e2e.service import wait_for
from tests.integration.aws.account import aws
from tests.integration.aws.deployment import SECRETS, Deployment

CHAT = {"model": "demo", "messages": [{"role": "user", "content": "Hello, xyloprompt!"}], "max_tokens": 4}


def test_no_secret_is_in_a_functions_configuration_or_in_the_template(cloud: Deployment) -> None:
    template = aws("cloudformation", "get_template", StackName=cloud.stack.name)["TemplateBody"]
    shown = [json.dumps(cloud.stack.configuration(name), default=str) for name in ("edge", "reconciler")]
    for text in (*shown, json.dumps(template)):
        assert "PENSTOCK_LEDGER_URL" in text
        assert not [name for name, value in SECRETS.items() if value in text or value.split(":")[-1] in text]
    variables = cloud.stack.configuration("edge")["Configuration"]["Environment"]["Variables"]
    assert variables["PENSTOCK_TICKET_KEYS"] == "ssm:/penstock/emulator/ticket-keys"
    assert variables["PENSTOCK_GPU_SECRET"] == "ssm:/penstock/emulator/gpu-secret"


def test_a_request_is_in_the_functions_log_without_what_was_said(cloud: Deployment) -> None:
    key = cloud.key()
    request_id = cloud.call("POST", "/v1/chat/completions", key, json=CHAT).headers["x-request-id"]

    def logged() -> list[str]:
        return [line for line in cloud.stack.log("edge").splitlines() if request_id in line]

    lines = wait_for("a log line", logged)
    assert not [line for line in lines if key in line or "xyloprompt" in line]
    for group in aws("logs", "describe_log_groups", logGroupNamePrefix=f"/aws/lambda/{cloud.stack.name}")["logGroups"]:
        assert group["retentionInDays"] == 30


def test_the_edge_may_do_what_it_does_and_no_more(cloud: Deployment) -> None:
    """That it may do what it does is shown by every other test: the account refuses what a role does not allow."""
    (role,) = [name for name in cloud.stack.resources("AWS::IAM::Role").values() if "EdgeRole" in name]
    client = get_session().create_client("iam")
    arn = client.get_role(RoleName=role)["Role"]["Arn"]
    table = aws("dynamodb", "describe_table", TableName=cloud.stack.table())["Table"]["TableArn"]

    def decision(action: str, resource: str) -> str:
        answer = client.simulate_principal_policy(PolicySourceArn=arn, ActionNames=[action], ResourceArns=[resource])
        return str(answer["EvaluationResults"][0]["EvalDecision"])

    assert decision("dynamodb:UpdateItem", table) == "allowed"
    assert decision("dynamodb:UpdateItem", f"{table}-of-another") == "implicitDeny"
    for action in ("dynamodb:Scan", "dynamodb:DeleteTable", "s3:GetObject", "lambda:InvokeFunction"):
        assert decision(action, table) == "implicitDeny"
    client.close()


def test_without_a_right_a_function_is_refused(cloud: Deployment) -> None:
    """That the other tests succeed shows that the roles suffice only where the account holds functions to them."""
    (role,) = [name for name in cloud.stack.resources("AWS::IAM::Role").values() if "ReconcilerRole" in name]
    deny = {"Effect": "Deny", "Action": "dynamodb:Query", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    aws("iam", "put_role_policy", RoleName=role, PolicyName="deny", PolicyDocument=policy)
    try:
        with pytest.raises(AssertionError, match="not authorized to perform: dynamodb:Query"):
            cloud.stack.invoke("reconciler", {})
    finally:
        aws("iam", "delete_role_policy", RoleName=role, PolicyName="deny")
    assert cloud.stack.invoke("reconciler", {})["finished"]
