"""The stages, compiled: each once a run."""

from collections.abc import Callable
from functools import cache
from typing import TypeAlias

import pytest

from tests.servers.dynalite import node_js
from tests.servers.fixtures import NO_NODE_JS
from tests.unit.infra.deployments import DEPLOYMENTS
from tests.unit.infra.osls import GPU_URL, package
from tests.unit.infra.template import Template

Compiled: TypeAlias = Callable[[str], Template]


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    """Compiles a deployment, by its name."""
    if node_js() is None:
        pytest.skip(NO_NODE_JS)

    @cache
    def compile_once(deployment: str) -> Template:
        stage, parameters = DEPLOYMENTS[deployment]
        folder = tmp_path_factory.mktemp("osls")
        done = package(folder, stage, f"gpuUrl={GPU_URL}", *parameters)
        assert done.returncode == 0, done.stderr
        return Template.read(stage, folder / "package")

    return compile_once
