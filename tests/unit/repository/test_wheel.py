"""What `pip install penstock` gives: built here, offline, and looked into."""

import subprocess
import sys
import tarfile
from collections.abc import Iterator
from configparser import ConfigParser
from email import message_from_bytes
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement

from tests.unit.repository.locks import PROJECT, ROOT

VERSION: str = PROJECT["project"]["version"]
INFO = f"penstock-{VERSION}.dist-info"


def build(target: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZipFile]:
    with ZipFile(build("wheel", tmp_path_factory.mktemp("wheel"))) as wheel:
        yield wheel


def test_it_holds_the_package_and_nothing_else(wheel: ZipFile) -> None:
    sources = {path.relative_to(ROOT / "shared").as_posix() for path in (ROOT / "shared" / "penstock").rglob("*.py")}
    names = set(wheel.namelist())
    assert sources | {"penstock/py.typed"} <= names
    assert [name for name in names if not name.startswith(("penstock/", f"{INFO}/"))] == []
    assert [name for name in names if name.endswith((".pyc", ".db"))] == []


def test_it_brings_the_command_and_the_licence(wheel: ZipFile) -> None:
    entry_points = ConfigParser()
    entry_points.read_string(wheel.read(f"{INFO}/entry_points.txt").decode())
    assert dict(entry_points["console_scripts"]) == PROJECT["project"]["scripts"]
    assert wheel.read(f"{INFO}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()


def test_its_core_is_light(wheel: ZipFile) -> None:
    about = message_from_bytes(wheel.read(f"{INFO}/METADATA"))
    needs = [Requirement(line) for line in about.get_all("Requires-Dist", [])]
    core = {need.name for need in needs if need.marker is None}
    assert core == {"httpx2", "orjson", "pydantic", "pydantic-settings", "rich", "typer"}
    assert set(about.get_all("Provides-Extra", [])) == {"edge", "batch", "gpu", "int8", "modal", "local", "dev"}
    assert (about["Version"], about["License-Expression"]) == (VERSION, "Apache-2.0")


def test_the_source_archive_holds_what_the_wheel_is_built_from(tmp_path: Path) -> None:
    with tarfile.open(build("sdist", tmp_path)) as archive:
        tops = {Path(name).parts[1] for name in archive.getnames() if len(Path(name).parts) > 1}
    assert {"shared", "pyproject.toml", "LICENSE", "README.md", "CHANGELOG.md"} <= tops
    assert tops.isdisjoint({"functions", "tests", "models", "infra", "benchmarks"})


def test_the_version_is_said_once_more_in_the_code() -> None:
    code = "import penstock; print(penstock.__version__)"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert printed.stdout.strip() == VERSION
