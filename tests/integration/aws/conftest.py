"""The zips, and the deployment that the tests of this folder share but for those that change or remove theirs."""

import platform
import subprocess
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from penstock.admission import Demand, admit, new_request_id
from penstock.clock import MINUTE, now_ms
from penstock.keys import parse
from penstock.ledger import Ledger, Refused, Reserved
from penstock.models import read_models
from tests.e2e.service import on_ledger
from tests.integration.aws.deployment import Deployment, deployed
from tests.integration.aws.stack import ROOT
from tests.servers.dynalite import node_js
from tests.servers.fixtures import NO_NODE_JS
from tests.servers.ministack import PYTHON

ORIGIN = "https://app.example"
ARCHITECTURES = {"x86_64": "x86_64", "aarch64": "arm64"}


@pytest.fixture(scope="session")
def architecture() -> str:
    """This machine's, as Lambda calls it: the emulator runs the functions here, as what is built for Linux."""
    if sys.platform != "linux":
        pytest.skip("no Linux")
    if node_js() is None:
        pytest.skip(NO_NODE_JS)
    return ARCHITECTURES[platform.machine()]


@pytest.fixture(scope="session")
def zips(architecture: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the functions' zips, built for the interpreter that the emulator runs them with."""
    folder = tmp_path_factory.mktemp("zips")
    asked = "import sys; print(*sys.version_info[:2], sep='.')"
    version = subprocess.run([str(PYTHON), "-c", asked], capture_output=True, text=True, timeout=60, check=True)
    options = ["--python", version.stdout.strip(), "--architecture", architecture, "--output", str(folder)]
    options += ["--interpreter", str(PYTHON)]
    built = subprocess.run(
        [str(ROOT / "scripts" / "package"), *options], capture_output=True, text=True, timeout=300, check=False
    )
    assert built.returncode == 0, f"{built.stdout}{built.stderr}"
    return folder


@pytest.fixture(scope="package")
def cloud(zips: Path, architecture: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Penstock, deployed: generations come through the edge, and whole.

    A request has died in it, for the schedule to find. It runs every minute: while other tests do.
    """
    options = {"architecture": architecture, "corsOrigins": ORIGIN, "reconcile": "rate(1 minute)"}
    with deployed(tmp_path_factory.mktemp("cloud"), zips, **options) as deployment:
        abandon(deployment)
        yield deployment


def abandon(deployment: Deployment) -> None:
    """A request that was admitted ten minutes ago, and never claimed: its lease is open until somebody closes it."""
    key = parse(deployment.key())
    model = read_models(ROOT / "penstock.toml").get("demo")
    assert key is not None
    assert model is not None
    request_id, long_ago = new_request_id(), now_ms() - 10 * MINUTE

    async def reserve(ledger: Ledger) -> Reserved | Refused:
        caller = await ledger.caller(key.id)
        assert caller is not None
        demand = Demand(prompt_bytes=64, messages=1, max_tokens=None)
        return await admit(ledger, caller, model, demand, request_id=request_id, now=long_ago, claim_within_s=60)

    assert isinstance(on_ledger(deployment.ledger, reserve), Reserved)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the functions and the GPU process wrote with a test that failed."""
    report = yield
    for deployment in getattr(item, "funcargs", {}).values():
        if report.when == "call" and report.failed and isinstance(deployment, Deployment):
            report.sections.append(("deployment", deployment.logs()))
    return report
