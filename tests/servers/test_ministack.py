"""The account that is deployed into: its functions find it, are held to their roles, and end with it."""

import io
import json
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.session import get_session

from tests.servers.ended import gone
from tests.servers.environment import lead_to
from tests.servers.ministack import account

# What a function can tell: its process, and what becomes of a call to AWS (botocore is ministack's own).
CODE = """
import json, os
from botocore.session import get_session

def handler(event, context):
    client = get_session().create_client(event["service"])
    try:
        getattr(client, event["operation"])()
        refusal = None
    except client.exceptions.ClientError as error:
        refusal = error.response["Error"]["Code"]
    return {"process": os.getpid(), "refusal": refusal}
"""
TRUST = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
RIGHT = {"Effect": "Allow", "Action": "dynamodb:ListTables", "Resource": "*"}


def policy(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@contextmanager
def client(service: str) -> Iterator[Any]:
    """A client of the account, as its owner."""
    made = get_session().create_client(service)
    yield made
    made.close()


def make_function() -> None:
    """The function `probe`, which may list tables."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("probe.py", CODE)
    with client("iam") as iam:
        role = iam.create_role(RoleName="probe", AssumeRolePolicyDocument=policy(TRUST))["Role"]["Arn"]
        iam.put_role_policy(RoleName="probe", PolicyName="right", PolicyDocument=policy(RIGHT))
    with client("lambda") as functions:
        functions.create_function(
            FunctionName="probe",
            Runtime="python3.13",
            Role=role,
            Handler="probe.handler",
            Code={"ZipFile": archive.getvalue()},
            Timeout=60,
        )


def probe(service: str, operation: str) -> dict[str, Any]:
    """What the function answers."""
    asked = json.dumps({"service": service, "operation": operation}).encode()
    with client("lambda") as functions:
        answer: dict[str, Any] = json.loads(functions.invoke(FunctionName="probe", Payload=asked)["Payload"].read())
    return answer


def test_a_function_reaches_the_account_with_the_rights_of_its_role(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with account(tmp_path) as url:
        lead_to(url, monkeypatch)
        make_function()
        allowed = probe("dynamodb", "list_tables")
        assert allowed["refusal"] is None
        assert probe("sqs", "list_queues")["refusal"] == "AccessDenied"
        assert not gone(allowed["process"])
    deadline = time.monotonic() + 60
    while not gone(allowed["process"]):
        assert time.monotonic() < deadline, "the function's process is still there"
        time.sleep(0.02)
