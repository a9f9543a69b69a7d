"""What the zips hold: all that is imported, nothing that is not, and no more than their size allows."""

import stat
from zipfile import ZipFile

import pytest

from tests.unit.infra.packaging.conftest import Build

MOST = 10_000_000  # bytes of the edge's zip
MOST_OF_BATCH = 20_000_000  # whose cold start nobody waits for; Lambda takes 50 MB
TARGETS = [("3.11", "x86_64"), ("3.13", "x86_64"), ("3.13", "arm64")]
every_target = pytest.mark.parametrize(("python", "architecture"), TARGETS)


@every_target
def test_the_edge_is_small(built: Build, python: str, architecture: str) -> None:
    archive = built("edge", python, architecture).archive
    assert archive.path.stat().st_size == archive.size <= MOST


@every_target
def test_what_is_compiled_is_for_the_target(built: Build, python: str, architecture: str) -> None:
    machine = {"x86_64": "x86_64", "arm64": "aarch64"}[architecture]
    libraries = [member.path for member in built("edge", python, architecture).archive.members if ".so" in member.path]
    assert any("pydantic_core" in path for path in libraries)
    for path in libraries:
        assert f"cpython-{python.replace('.', '')}-{machine}" in path, path


@pytest.mark.parametrize("name", ["edge", "batch"])
def test_nothing_of_the_laptop_is_in_a_zip(built: Build, name: str) -> None:
    paths = [member.path for member in built(name, "3.11", "x86_64").archive.members]
    unwanted = (
        *("penstock/cli", "penstock/client", "penstock/deploy/", "penstock/ledger/sqlite", "functions/gpu", "models/"),
        *("typer/", "httpx", "sqlalchemy", "uvicorn", "torch"),
        *(() if name == "batch" else ("modal/", "rich/", "boto3/")),  # which calls Modal's functions
    )
    assert [path for path in paths if path.startswith(unwanted)] == []
    endings = (".pyi", ".c", ".pyx", ".pxd", ".h", ".md", ".txt", "py.typed")
    assert [path for path in paths if path.endswith(endings)] == []
    assert [path for path in paths if ".dist-info/" in path or "/tests/" in path] == []


@pytest.mark.parametrize(
    ("name", "services"),
    [("edge", {"dynamodb", "s3", "ssm"}), ("batch", {"dynamodb", "s3", "sns", "sqs", "ssm"})],
)
def test_of_aws_services_only_those_in_use_are_described(built: Build, name: str, services: set[str]) -> None:
    paths = [member.path for member in built(name, "3.11", "x86_64").archive.members]
    described = {path.split("/")[2] for path in paths if path.startswith("botocore/data/") and path.count("/") > 2}
    assert described == services


@every_target
def test_batch_has_modals_client_in_a_zip_that_can_be_uploaded(built: Build, python: str, architecture: str) -> None:
    archive = built("batch", python, architecture).archive
    assert {"modal/functions.pyc", "google/protobuf/message.pyc"} <= {member.path for member in archive.members}
    assert archive.size <= MOST_OF_BATCH


def test_the_edge_has_its_table_of_models_and_its_wrapper(built: Build) -> None:
    with ZipFile(built("edge", "3.11", "x86_64").archive.path) as archive:
        modes = {info.filename: info.external_attr >> 16 for info in archive.infolist()}
    assert stat.S_IMODE(modes.pop("functions/edge/stream")) == 0o755
    assert "penstock.toml" in modes
    assert {stat.S_IMODE(mode) for mode in modes.values()} == {0o644}


def test_every_module_has_bytecode_and_ours_their_sources(built: Build) -> None:
    paths = {member.path for member in built("edge", "3.11", "x86_64").archive.members}
    sources = {path for path in paths if path.endswith(".py")}
    assert {path.partition("/")[0] for path in sources} == {"functions", "penstock"}
    for source in sources:
        folder, _, name = source.rpartition("/")
        assert f"{folder}/__pycache__/{name.removesuffix('.py')}.cpython-311.pyc" in paths
    assert "fastapi/applications.pyc" in paths


def test_the_table_names_every_package_the_whole_and_the_hash(built: Build) -> None:
    edge = built("edge", "3.11", "x86_64")
    for text in ("pydantic-core", "penstock", f"{edge.archive.size:,}", edge.archive.sha256, "Python 3.11, x86_64"):
        assert text in edge.table
