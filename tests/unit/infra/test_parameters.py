"""What is wrong with the parameters is said before anything is made of them, all at once and plainly."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.servers.dynalite import node_js
from tests.servers.fixtures import NO_NODE_JS
from tests.unit.infra.conftest import Compiled
from tests.unit.infra.osls import GPU_URL, ROOT, package

NODE = node_js()
pytestmark = pytest.mark.skipif(NODE is None, reason=NO_NODE_JS)

# Asks infra/parameters.cjs what osls asks it, which itself takes seconds for each answer.
ASK = """
const { known, given, stage, file } = JSON.parse(process.argv[2]);
const values = new Map(Object.entries(given).map(([name, value]) => [`param:${name}, null`, value]));
require(file)({
  options: { param: Object.entries(given).map((pair) => pair.join('=')) },
  resolveConfigurationProperty: async () => Object.fromEntries(known.map((name) => [name, null])),
  resolveVariable: async (source) => (source === 'sls:stage' ? stage : values.get(source) ?? null),
}).then(() => {}, (wrong) => console.log(String(wrong)));
"""
DEFAULT = (
    (ROOT / "serverless.yml").read_text(encoding="utf-8").partition("  default:\n")[2].partition("\n  production:")[0]
)
KNOWN = re.findall(r"^    (\w+):", DEFAULT, re.MULTILINE)
GOOD = {"generation": "stream", "secrets": "/penstock/dev", "gpuUrl": GPU_URL}


def wrong(stage: str = "dev", command: str = "package", **given: str | None) -> list[str]:
    """What is said of these parameters, a line each. Some are given unless they are None."""
    assert NODE is not None
    all_given = {name: value for name, value in {**GOOD, **given}.items() if value is not None}
    asked = {"known": KNOWN, "given": all_given, "stage": stage, "file": str(ROOT / "infra" / "parameters.cjs")}
    done = subprocess.run(
        [NODE, "-e", ASK, command, json.dumps(asked)], capture_output=True, text=True, timeout=60, check=True
    )
    return [line.strip() for line in done.stdout.splitlines() if line]


def test_what_is_good_is_taken() -> None:
    assert wrong() == []
    assert wrong(gpuUrl='{"demo": "https://demo.example", "other": "https://other.example"}') == []
    assert wrong("emulator", generation="buffered", gpuUrl="http://127.0.0.1:8001") == []
    assert wrong(generation="redirect", gpuPublicUrl=GPU_URL) == []


@pytest.mark.parametrize("stage", ["dev", "staging", "production", "emulator"])
def test_there_is_no_edge_without_a_gpu(stage: str) -> None:
    (line,) = wrong(stage, gpuUrl=None)
    assert line.startswith("gpuUrl: must be given")


@pytest.mark.parametrize("command", ["remove", "info", "rollback", "logs"])
def test_what_makes_nothing_needs_no_gpu(command: str) -> None:
    assert wrong(command=command, gpuUrl=None) == []


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("generation", "fast", 'must be one of stream, redirect, buffered, not "fast"'),
        ("generation", "buffered", "buffered is for the stage emulator"),
        ("gpuUrl", "http://gpu.example", "must be a URL that begins with https://"),
        ("gpuUrl", '{"demo": "gpu"}', "must be a URL that begins with https://"),
        ("gpuUrl", "https://" + "x" * 1_500, "must be at most 1500 characters"),
        ("gpuPublicUrl", "null", "must be a URL that begins with https://"),
        ("secrets", "penstock", "must be a path like /penstock/production"),
        ("secretsKeyArn", "alias/mine", "must be the ARN of a KMS key"),
        ("ledgerTable", "a table", "must be the name of a table"),
        ("corsOrigins", "lab.example", "must be origins like"),
        ("architecture", "arm", "must be one of arm64, x86_64"),
        ("pythonRuntime", "3.13", "must be a runtime like python3.13"),
        ("snapStart", "true", "must be one of on, off"),
        ("reservedConcurrency", "0", "must be a whole number from 1"),
        ("reconcile", "5 minutes", "must be an expression like rate(1 minute)"),
        ("incomingPrefix", "results/", "must be a prefix like incoming/"),
        ("incomingPrefix", "incoming", "must be a prefix like incoming/"),
        ("incomingSuffix", ".event", "must be a suffix like .jsonl"),
        ("serviceKeyId", "sk-1", "must be an API key's id"),
        ("webhookUrl", "http://lab.example", "must be a URL that begins with https://"),
        ("alarmEmail", "me", "must be an e-mail address"),
        ("monthlyBudgetUsd", "1.50", "must be a whole number from 1"),
        ("waf", "yes", 'must be one of on, off, not "yes"'),
        ("hostedZoneId", "Z0123", "needs domain"),
        ("gpuURL", "https://gpu.example", "there is no such parameter"),
    ],
)
def test_what_is_wrong_is_named(name: str, value: str, expected: str) -> None:
    (line,) = wrong(**{name: value})
    assert line.startswith(f"{name}: ")
    assert expected in line


def test_some_need_others() -> None:
    assert wrong(generation="redirect") == ["gpuPublicUrl: must be given where generation is redirect"]
    assert wrong(domain="api.lab.example") == ["domain: needs certificateArn, and the other way round"]


def test_a_stage_is_the_name_of_much() -> None:
    (line,) = wrong("Production")
    assert line.startswith("stage: must be 1 to 20")


def test_osls_says_all_of_it_and_shows_no_stack(tmp_path: Path) -> None:
    done = package(tmp_path, "dev", "gpuURL=https://gpu.example", "waf=yes")
    assert done.returncode == 1
    said = done.stdout + done.stderr
    for line in ("gpuURL: there is no such parameter", "waf: must be one of on, off", "gpuUrl: must be given"):
        assert f"\n  {line}" in said
    assert "    at " not in said


def test_what_is_not_given_is_not_set(compiled: Compiled) -> None:
    variables = compiled("development").function("edge")["Environment"]["Variables"]
    assert not {"PENSTOCK_GPU_PUBLIC_URL", "PENSTOCK_CORS_ORIGINS"} & variables.keys()


def test_what_is_given_is_set(compiled: Compiled) -> None:
    template = compiled("production, with all that is optional")
    variables = template.function("edge")["Environment"]["Variables"]
    assert variables["PENSTOCK_CORS_ORIGINS"] == "https://lab.example"
    assert variables["PENSTOCK_LEDGER_URL"] == "dynamodb://penstock-restored"
    assert template.function("edge-stream")["ReservedConcurrentExecutions"] == 20
    for kind in ("WAFv2::WebACLAssociation", "Budgets::Budget", "SNS::Subscription", "ApiGateway::BasePathMapping"):
        assert template.of(kind), kind


def test_direct_delivery_needs_no_proxy_token(compiled: Compiled) -> None:
    variables = compiled("staging, direct delivery, x86_64").function("edge")["Environment"]["Variables"]
    assert variables["PENSTOCK_DELIVERY"] == "direct"
    assert not {"PENSTOCK_GPU_KEY", "PENSTOCK_GPU_SECRET"} & variables.keys()


def test_snapshots_are_the_edges_alone_unless_said(compiled: Compiled) -> None:
    snapshots = {
        deployment: [name for name in ("edge", "edge-stream") if "SnapStart" in compiled(deployment).function(name)]
        for deployment in ("development", "production", "production, with all that is optional")
    }
    assert snapshots == {
        "development": ["edge"],
        "production": ["edge"],
        "production, with all that is optional": ["edge", "edge-stream"],
    }
    assert not compiled("the tests' emulator").of("Lambda::Version")
