"""What importing costs: the package and the edge's handler must come without what they do not use.

Each test imports in a process of its own in which the heavy libraries cannot be imported at all.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.repository.locks import ROOT

# Modules that need an extra, and say so.
NEED_AN_EXTRA = (
    "penstock.aws",
    "penstock.batches.dynamodb",
    "penstock.batches.sqlite",
    "penstock.client.direct",
    "penstock.deploy",
    "penstock.ledger.dynamodb",
    "penstock.ledger.sqlite",
    "penstock.logs",
    "penstock.objects.asking",
    "penstock.objects.bucket",
    "penstock.objects.upload",
    "penstock.parameter_store",
)

_MODELS = ("numpy", "tokenizers", "torch", "transformers")
NOT_IN_THE_CORE = (
    *(
        "aiobotocore",
        "aiohttp",
        "botocore",
        "boto3",
        "fastapi",
        "fsspec",
        "mangum",
        "modal",
        "openai",
        "python_multipart",
        "s3fs",
        "sqlalchemy",
        "starlette",
        "structlog",
        "uvicorn",
    ),
    *_MODELS,
)
NOT_AT_THE_EDGES_START = (
    *("boto3", "httpx2", "modal", "openai", "rich", "sqlalchemy", "typer", "uvicorn"),
    *("fsspec", "s3fs"),  # not at a start
    *_MODELS,
)

CONFIG = """
[models.demo]
source = "./models/demo"
context_length = 256
prices = [{ effective = 2026-01-01, prompt = 0.1, cached_prompt = 0.05, completion = 0.2 }]
"""


def import_without(absent: tuple[str, ...], modules: list[str], **environment: str) -> None:
    """Import the modules in a new process where importing any of `absent` is an error."""
    block = f"import sys; sys.modules.update(dict.fromkeys({absent!r}))"
    code = "\n".join([block, *(f"import {module}" for module in modules)])
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
    command = [sys.executable, "-W", "error", "-c", code]
    result = subprocess.run(
        command, env=inherited | environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stderr


def modules_of(package: str) -> list[str]:
    folder = ROOT / "shared" / package
    paths = [path.relative_to(folder.parent).with_suffix("") for path in folder.rglob("*.py")]
    names = [".".join(path.parts).removesuffix(".__init__") for path in paths]
    return sorted(name for name in names if not name.startswith(NEED_AN_EXTRA) and not name.endswith("__main__"))


def test_the_package_imports_with_its_core_requirements_alone() -> None:
    modules = modules_of("penstock")
    assert {"penstock", "penstock.cli", "penstock.ticket", "penstock.ledger.protocol"} <= set(modules)
    import_without(NOT_IN_THE_CORE, modules)


def test_importing_the_package_imports_none_of_its_parts() -> None:
    code = "import sys, penstock; print(*(name for name in sys.modules if name.startswith(('penstock.', 'pydantic'))))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert loaded.stdout.strip() == ""


def test_the_handler_imports_nothing_that_lambda_does_not_need(tmp_path: Path) -> None:
    (tmp_path / "penstock.toml").write_text(CONFIG)
    import_without(
        NOT_AT_THE_EDGES_START,
        ["functions.edge.handler"],
        PENSTOCK_CONFIG=str(tmp_path / "penstock.toml"),
        PENSTOCK_LEDGER_URL=f"sqlite:///{tmp_path}/ledger.db",
        PENSTOCK_TICKET_KEYS="a:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
        PENSTOCK_GPU_URL="http://127.0.0.1:9",
    )


@pytest.mark.parametrize("absent", ["orjson", "pydantic"])
def test_an_import_that_is_not_allowed_is_noticed(absent: str) -> None:
    with pytest.raises(AssertionError, match=f"import of {absent} halted"):
        import_without((absent,), ["penstock.models", "penstock.logs"])
