"""A stage of `serverless.yml`: deployed and removed by `osls`, looked at through AWS."""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.aws.account import aws

ROOT = Path(__file__).parents[3]
OSLS = ROOT / "node_modules" / ".bin" / "osls"
WITHIN_S = 300  # a generous deadline: a deployment takes ten seconds


@dataclass(frozen=True)
class Stack:
    """The stage, and its parameters. What `osls` packages goes to `folder`, not into the checkout."""

    stage: str
    folder: Path
    parameters: Mapping[str, str]

    @property
    def name(self) -> str:
        """CloudFormation's name of it."""
        return f"penstock-{self.stage}"

    def deploy(self) -> None:
        """Make the stack, or change the one that is there."""
        options = [f"--param={name}={value}" for name, value in self.parameters.items()]
        package = self.folder / self.name
        self._osls("package", "--package", str(package), *options)
        self._osls("deploy", "--package", str(package), *options)

    def remove(self) -> None:
        """Remove it, and what is in it."""
        self._osls("remove", *[f"--param={name}={value}" for name, value in self.parameters.items()])

    def _osls(self, command: str, *options: str) -> None:
        assert OSLS.exists(), "osls is not installed: run tests/install"
        done = subprocess.run(
            [str(OSLS), command, "--stage", self.stage, *options],
            cwd=ROOT,
            env={**os.environ, "SLS_AWS_MONITORING_FREQUENCY": "200"},  # milliseconds between looks at the stack
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout}{done.stderr}"

    def outputs(self) -> dict[str, str]:
        """What the stack says of itself."""
        (stack,) = aws("cloudformation", "describe_stacks", StackName=self.name)["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def resources(self, kind: str) -> dict[str, str]:
        """The names that its resources of one type have in the account, by those in the template."""
        found = aws("cloudformation", "describe_stack_resources", StackName=self.name)["StackResources"]
        return {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in found if one["ResourceType"] == kind}

    def url(self) -> str:
        """The API's, as the emulator serves it: by path, where AWS has a host for each."""
        (api,) = self.resources("AWS::ApiGateway::RestApi").values()
        return f"{os.environ['AWS_ENDPOINT_URL']}/_aws/execute-api/{api}/{self.stage}"

    def table(self) -> str:
        """The ledger's."""
        (table,) = self.resources("AWS::DynamoDB::Table").values()
        return table

    def function(self, name: str) -> str:
        """A function, by its name in serverless.yml."""
        return f"{self.name}-{name}"

    def configuration(self, name: str) -> dict[str, Any]:
        """All that Lambda shows of a function."""
        shown: dict[str, Any] = aws("lambda", "get_function", FunctionName=self.function(name))
        return shown

    def invoke(self, name: str, event: object) -> Any:
        """What a function answers to an event. Raises AssertionError where it failed."""
        payload = json.dumps(event).encode()
        answer = aws("lambda", "invoke", FunctionName=self.function(name), Payload=payload)
        body = answer["Payload"].read()
        assert "FunctionError" not in answer, body
        return json.loads(body)

    def log(self, name: str) -> str:
        """What a function wrote; nothing where there is no such function."""
        group = f"/aws/lambda/{self.function(name)}"
        if not aws("logs", "describe_log_groups", logGroupNamePrefix=group)["logGroups"]:
            return ""
        events = aws("logs", "filter_log_events", logGroupName=group)["events"]
        return "\n".join(event["message"].rstrip("\n") for event in events)
