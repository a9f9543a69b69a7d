"""The zips of this checkout, built once for each target that a test asks for."""

from collections.abc import Callable
from pathlib import Path

import pytest

from infra.packaging.build import Built, build
from infra.packaging.bytecode import find_interpreter
from infra.packaging.deployable import BATCH, EDGE
from infra.packaging.failure import PackagingFailed
from infra.packaging.target import Target

Build = Callable[[str, str, str], Built]
_DEPLOYABLES = {one.name: one for one in (EDGE, BATCH)}


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """`built("edge", "3.11", "x86_64")`; skips where there is no such Python."""
    made: dict[tuple[str, str, str], Built] = {}

    def get(name: str, python: str, architecture: str) -> Built:
        key = (name, python, architecture)
        if key not in made:
            try:
                interpreter = find_interpreter(python)
            except PackagingFailed:
                pytest.skip(f"no Python {python}")
            folder = tmp_path_factory.mktemp(f"{name}-{python}-{architecture}")
            made[key] = build(_DEPLOYABLES[name], Target(python, architecture), interpreter, folder)
        return made[key]

    return get


@pytest.fixture(scope="session")
def edge(built: Build) -> Path:
    """The edge's zip for the interpreter of the tests' emulator."""
    return built("edge", "3.11", "x86_64").archive.path
