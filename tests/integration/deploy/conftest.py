"""A workspace on this machine with the app of a small table deployed: one model of a hub, one of a folder."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from penstock.weights import folder_of
from tests.control_plane.fixtures import linux, pytest_runtest_makereport
from tests.control_plane.running import ControlPlane, control_plane
from tests.hub import COMMIT, REPOSITORY, Hub, serving
from tests.integration.cli.command import Result, penstock

__all__ = ["linux", "pytest_runtest_makereport"]

FILES = {"config.json": b"{}", "model.safetensors": b"weights" * 50_000, "tokenizer.json": b"{}"}
TABLE = f"""
[deployment]
app = "trial"
volume = "trial-weights"
secret = "trial-secret"

[models.large]
source = "{REPOSITORY}"
revision = "{COMMIT}"
context_length = 64
prices = [{{ effective = 2026-01-01, prompt = 1, cached_prompt = 1, completion = 1 }}]

[models."acme/local"]
aliases = ["local"]
source = "./local"
context_length = 64
prices = [{{ effective = 2026-01-01, prompt = 1, cached_prompt = 1, completion = 1 }}]
"""


@dataclass(frozen=True)
class Workspace:
    """The control plane, and the machine of an operator: a table, and a folder beside it."""

    plane: ControlPlane
    table: Path

    @property
    def local(self) -> Path:
        """The folder of the model `acme/local`."""
        return self.table.parent / "local"

    def run(self, *arguments: str) -> Result:
        """`penstock`, with a token for this workspace."""
        return penstock(*arguments, "--config", self.table, **self.plane.environment)

    def deploy(self) -> None:
        """`modal deploy` of the table."""
        self.plane.modal("deploy", "-m", "functions.gpu.modal_app", variables={"PENSTOCK_CONFIG": str(self.table)})

    def on_volume(self, model: str) -> Path:
        """The model's folder on the Volume."""
        return self.plane.volume("trial-weights") / folder_of(model)

    def current(self) -> str:
        """Which revision of `acme/local` is served."""
        revision: str = json.loads((self.on_volume("acme/local") / "current.json").read_text())["revision"]
        return revision


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    """The hub that the containers fetch from."""
    with serving(Hub(dict(FILES), large={"model.safetensors"})) as hub:
        yield hub


@pytest.fixture(scope="module")
def workspace(linux: None, tmp_path_factory: pytest.TempPathFactory, hub: Hub) -> Iterator[Workspace]:
    """One for all tests of a module."""
    home = tmp_path_factory.mktemp("operator")
    (home / "penstock.toml").write_text(TABLE)
    (home / "local").mkdir()
    for name, content in FILES.items():
        (home / "local" / name).write_bytes(content)
    port = urlsplit(hub.address).port
    assert port is not None
    variables = {"OMP_NUM_THREADS": "1", "HF_ENDPOINT": hub.address, "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}
    with control_plane(tmp_path_factory.mktemp("modal"), reach=[port], variables=variables) as plane:
        yield Workspace(plane, home / "penstock.toml")
        plane.check()
