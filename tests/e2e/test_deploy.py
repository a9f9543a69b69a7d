"""docs/deploy.md: what needs no account is run as it stands, on a stand-in for DynamoDB, with a process of the demo
model in the place of Modal's. What needs one is held to the programs' own commands and options."""

import asyncio
import io
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, redirect_stdout
from pathlib import Path
from typing import Any
from uuid import uuid4

import click
import pytest
import yaml  # type: ignore[import-untyped]
from modal.cli.entry_point import entrypoint_cli

from penstock.ledger.dynamodb import delete_table
from tests.e2e.service import ROOT
from tests.integration.cli.command import done, here
from tests.servers.process import serving

TEXT = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
BLOCKS: list[tuple[str, str]] = re.findall(r"^```(\w[^\n]*)\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
RUN = [block for language, block in BLOCKS if language == "sh"]
UNPROVEN = [block for language, block in BLOCKS if language == "sh account"]
JSON: list[Any] = [json.loads(block) for language, block in BLOCKS if language == "json"]
SERVES_EDGE = next(place for place, block in enumerate(RUN) if "functions.edge.app" in block)
BIN = str(os.path.dirname(sys.executable))  # noqa: PTH120 (a symlink must stay one)
START_S = 180.0  # a busy machine starts torch slowly
UVICORN = [sys.executable, "-m", "uvicorn", "--no-access-log", "--factory"]


class Reader:
    """Somebody who follows the page, with a home and a table of his own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.table = f"penstock-docs-{uuid4().hex}"

    def environment(self, **more: str) -> dict[str, str]:
        """His shell's."""
        mine = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
        return {**mine, "HOME": str(self.home), **more}

    def script(self, block: str, edge: str = "") -> list[str]:
        """A block of the page for his table, his programs and his edge."""
        block = block.replace("dynamodb://penstock-production", f"dynamodb://{self.table}").replace(".venv/bin", BIN)
        block = block.replace("production-ACCOUNT_ID", "production-123456789012")  # whose bucket nobody asks here
        return ["bash", "-euo", "pipefail", "-c", block.replace("http://127.0.0.1:8000", edge)]

    def run(self, block: str, edge: str = "") -> str:
        """What the block prints."""
        command = self.script(block, edge)
        result = subprocess.run(
            command, cwd=ROOT, env=self.environment(), capture_output=True, text=True, timeout=300, check=False
        )
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    def file(self, name: str) -> Path:
        """What the page has him write."""
        return self.home / ".penstock" / name

    def model(self, output: Path) -> AbstractContextManager[str]:
        """The demo model's process, with what gpu.env tells it of Penstock; gives its URL."""
        lines = [line.split("=", 1) for line in self.file("gpu.env").read_text().splitlines()]
        told = {name: value for name, value in lines if name.startswith("PENSTOCK_")}
        environment = self.environment(**told, PENSTOCK_MODEL="demo", PENSTOCK_THREADS="1")
        return serving(
            lambda listen: [*UVICORN, "functions.gpu.server:create_app", "--fd", str(listen)],
            output,
            health="/health/ready",
            environment=environment,
            start_s=START_S,
        )

    def edge(self, model: str, output: Path) -> AbstractContextManager[str]:
        """The edge, as the page has it started, before that one model; gives its URL."""
        lines = [line for line in self.file("gpu.env").read_text().splitlines() if line.startswith("PENSTOCK_")]
        lines += [f"PENSTOCK_GPU_URL='{json.dumps({'demo': model})}'"]
        lines += ["PENSTOCK_GPU_KEY=wk-test", "PENSTOCK_GPU_SECRET=ws-test"]
        self.file("edge.env").write_text("\n".join(lines))
        *command, script = self.script(RUN[SERVES_EDGE])
        where = "--host 127.0.0.1 --port 8000"
        assert where in script
        return serving(
            lambda listen: [*command, script.replace(where, f"--fd {listen}")],
            output,
            health="/health/ready",
            environment=self.environment(),
            start_s=START_S,
        )


@pytest.fixture
def reader(tmp_path: Path, dynamodb: str | None) -> Iterator[Reader]:
    reader = Reader(tmp_path / "home")
    reader.home.mkdir()
    yield reader
    asyncio.run(delete_table(reader.table))


def test_the_page_leads_from_nothing_to_a_bill(reader: Reader, tmp_path: Path) -> None:
    before = reader.run("\n".join(RUN[:SERVES_EDGE]))
    assert f"dynamodb://{reader.table} is there." in before
    assert reader.file("gpu.env").stat().st_mode & 0o077 == 0
    with reader.model(tmp_path / "model") as model, reader.edge(model, tmp_path / "edge") as edge:
        after = reader.run("\n".join(RUN[SERVES_EDGE + 1 :]), edge)
    assert "The account lab was made." in after
    assert '"content":' in after
    assert re.search(r"\bdemo\b", after.partition('"usage"')[2])
    assert "Everything adds up." in after


# -- what needs an account: the commands and options exist


def commands() -> Iterator[list[str]]:
    """Every command of `modal` and `penstock` in the blocks, and of `modal` in the text, as words."""
    blocks = "\n".join(UNPROVEN).replace("\\\n", " ")
    for line in [
        *re.findall(r"\.venv/bin/((?:modal|penstock) [^\n)`']+)", blocks),
        *re.findall(r"`(modal \w[^` ]* [^`]+)`", TEXT),
    ]:
        yield shlex.split(line)


MODAL = [words for words in commands() if words[0] == "modal"]
PENSTOCK = [words for words in commands() if words[0] == "penstock"]


@pytest.mark.parametrize("words", MODAL, ids=" ".join)
def test_a_command_of_modal_is_one_that_modal_knows(words: list[str]) -> None:
    command: click.Command = entrypoint_cli
    context = click.Context(command, info_name="modal")
    rest = words[1:]
    while isinstance(command, click.Group):
        name, found, rest = command.resolve_command(context, rest)
        assert found is not None, name
        command = found
        context = click.Context(command, info_name=name, parent=context)
    with redirect_stdout(io.StringIO()):
        command.parse_args(context, rest)


@pytest.mark.parametrize("words", PENSTOCK, ids=" ".join)
def test_a_command_of_penstock_is_one_that_penstock_knows(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    shown = done(here(*words[1:3], "--help"))
    for option in (word for word in words if word.startswith("--")):
        assert option in shown


def test_the_page_has_the_commands_that_it_is_about() -> None:
    assert {tuple(words[:2]) for words in MODAL} >= {
        ("modal", "deploy"),
        ("modal", "secret"),
        ("modal", "app"),
        ("modal", "workspace"),
    }
    assert {tuple(words[1:3]) for words in PENSTOCK} >= {("weights", "pull"), ("deploy", "check"), ("deploy", "urls")}


# -- the stack's names

STACK = yaml.safe_load((ROOT / "serverless.yml").read_text(encoding="utf-8"))


def test_every_parameter_that_the_page_gives_is_one_of_the_stack_s() -> None:
    for_parameters = TEXT.partition("| for | parameters |")[2].partition("\n\n")[0]
    given = {*re.findall(r"--param ([a-z]\w+)=", TEXT), *re.findall(r"[` ]([a-z]\w+)=\S", for_parameters)}
    assert {"gpuUrl", "generation", "secrets", "domain", "waf"} <= given
    assert given <= set(STACK["params"]["default"])


def test_every_output_that_the_page_names_is_one_of_the_stack_s() -> None:
    table = TEXT.partition("| output | |")[2].partition("\n\n")[0]
    named = set(re.findall(r"^\| (.*?) \|", table.replace("`", ""), re.MULTILINE)) - {"---"}
    named = {name for names in named for name in names.split(", ")}
    sources = "".join(path.read_text("utf-8") for path in (ROOT / "infra").glob("*.yml"))
    assert "BaseUrl" in named
    for name in named:
        assert re.search(rf"^ +{name}:\n +(Description|Value):", sources, re.MULTILINE), name


# -- the rights

DYNAMODB = ROOT / "shared" / "penstock" / "ledger" / "dynamodb"


def asked() -> set[str]:
    """The rights on a table that the ledger's code needs. A transaction's are those of the writes in it."""
    calls = {
        call for path in DYNAMODB.glob("*.py") for call in re.findall(r"\bclient\.([a-z_]+)\b", path.read_text("utf-8"))
    }
    assert {"get_item", "transact_write_items", "get_waiter"} <= calls
    calls -= {"transact_write_items", "get_waiter", "delete_table"}  # the last is for tests
    return {"dynamodb:" + "".join(word.capitalize() for word in call.split("_")) for call in calls}


def test_the_rights_that_the_page_gives_are_those_that_the_ledger_needs() -> None:
    (gpu,) = [policy["Statement"][0] for policy in JSON if policy["Statement"][0]["Action"][0].startswith("dynamodb:")]
    named = set(re.findall(r"`(dynamodb:\w+)`", TEXT))
    assert set(gpu["Action"]) | named == asked()
    assert "dynamodb:Scan" not in gpu["Action"]
    assert gpu["Resource"].endswith(":table/penstock-production")


def rights() -> list[dict[str, Any]]:
    """The statements of the role that deploys."""
    policy = json.loads((ROOT / "infra" / "deploy-rights.json").read_text(encoding="utf-8"))
    assert len(json.dumps(policy, separators=(",", ":"))) < 10_240  # what IAM takes for a role
    statements: list[dict[str, Any]] = policy["Statement"]
    return statements


def test_the_deploy_role_may_make_every_kind_of_resource_that_the_stack_can_have() -> None:
    sources = [ROOT / "serverless.yml", *(ROOT / "infra").glob("*.yml")]
    kinds = {kind for path in sources for kind in re.findall(r"Type: AWS::(\w+)::", path.read_text("utf-8"))}
    assert {"DynamoDB", "IAM", "S3", "WAFv2"} <= kinds
    by_osls = {"CloudFormation", "Events", "Lambda", "Logs"}
    services = {action.partition(":")[0] for statement in rights() for action in statement["Action"]}
    assert services == {kind.lower() for kind in kinds | by_osls}


def test_the_deploy_role_s_actions_are_named_and_on_the_stack_s_own_where_they_can_be() -> None:
    for statement in rights():
        assert not [action for action in statement["Action"] if "*" in action]
        resources = statement["Resource"]
        for resource in [resources] if isinstance(resources, str) else resources:
            if resource == "*":  # none of these knows one
                assert statement["Action"] in (
                    ["cloudformation:ValidateTemplate", "logs:DescribeLogGroups"],
                    ["lambda:GetEventSourceMapping", "lambda:ListEventSourceMappings"],
                ) or "penstock-STAGE" in str(statement["Condition"])
            elif "penstock-STAGE" not in resource:  # names that AWS makes up, or that are the account's
                assert re.match(
                    r"arn:aws:(apigateway:REGION::|lambda:REGION:ACCOUNT_ID:event-source-mapping:|"
                    r"wafv2:REGION:ACCOUNT_ID:regional|route53:::)/?",
                    resource,
                )
    asked = {action for statement in rights() for action in statement["Action"]}
    assert not asked & {"dynamodb:GetItem", "dynamodb:Scan", "dynamodb:DeleteTable"}
    assert not [action for action in asked if action.startswith(("ssm:", "secretsmanager:", "kms:"))]


def test_a_role_trusts_one_app_or_one_environment_and_says_for_whom_a_token_has_to_be() -> None:
    trusts = [policy["Statement"][0] for policy in JSON if "Principal" in policy["Statement"][0]]
    issuers = [trust["Principal"]["Federated"].rpartition(":oidc-provider/")[2] for trust in trusts]
    assert issuers == ["oidc.modal.com", "token.actions.githubusercontent.com"]
    for trust, issuer in zip(trusts, issuers, strict=True):
        conditions = {key: value for condition in trust["Condition"].values() for key, value in condition.items()}
        assert set(conditions) == {f"{issuer}:aud", f"{issuer}:sub"}
        assert "environment" in conditions[f"{issuer}:sub"]
        assert trust["Condition"]["StringEquals"][f"{issuer}:aud"]


def test_the_workflow_uses_the_variables_and_secrets_that_the_page_names() -> None:
    text = "".join(path.read_text("utf-8") for path in (ROOT / ".github" / "workflows").iterdir())
    used = set(re.findall(r"(?:vars|secrets)\.(\w+)", text))
    table = TEXT.partition("| where | name |")[2].partition("\n\n")[0]
    assert used == set(re.findall(r"`([A-Z_]+)`", table))
