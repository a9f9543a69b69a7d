"""Every contract of import-linter fails where it is broken; that they hold is `scripts/lint`'s to show."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.repository.locks import PROJECT, ROOT

# For each contract: a module of ours, and an import in it that the contract forbids.
BREACHES = [
    ("package", "shared/penstock/breach.py", "import functions.edge"),
    ("deployables", "functions/edge/breach.py", "import functions.gpu.engine.protocol"),
    ("deployables", "functions/gpu/breach.py", "import functions.edge"),
    ("deployables", "functions/batch/breach.py", "import functions.edge.edge"),
    ("deployables", "functions/edge/breach.py", "import functions.batch.reconciler"),
    ("torch", "functions/gpu/breach.py", "import torch.nn"),
    ("torch", "functions/edge/breach.py", "from transformers import AutoTokenizer"),
    ("torch", "shared/penstock/breach.py", "import safetensors"),
    ("engine", "functions/gpu/engine/breach.py", "import penstock.ledger"),
    ("engine", "functions/gpu/engine/breach.py", "from starlette.requests import Request"),
    ("modal", "functions/gpu/breach.py", "import modal"),
    ("sqlalchemy", "functions/edge/breach.py", "import sqlalchemy.engine"),
    ("sqlalchemy", "shared/penstock/breach.py", "from sqlalchemy import select"),
    ("aws", "functions/gpu/breach.py", "import aiobotocore.session"),
    ("aws", "shared/penstock/ledger/sqlite/breach.py", "from botocore.exceptions import ClientError"),
    ("aws", "functions/edge/breach.py", "import boto3"),
    ("aws", "functions/batch/breach.py", "import aiobotocore.session"),
    ("aws", "shared/penstock/breach.py", "import botocore.exceptions"),
    ("objects", "functions/batch/breach.py", "import s3fs"),
    ("objects", "shared/penstock/breach.py", "from fsspec import filesystem"),
    ("frameworks", "shared/penstock/breach.py", "from fastapi import FastAPI"),
    ("edge", "functions/edge/breach.py", "import uvicorn"),
    ("edge", "functions/edge/breach.py", "import penstock.cli"),
    ("shipped", "functions/edge/breach.py", "import tests"),
    ("shipped", "shared/penstock/breach.py", "import models"),
]

ALLOWED = [
    ("functions/gpu/engine/fine.py", "import torch, transformers, tokenizers, safetensors"),
    ("functions/gpu/engine/part/fine.py", "import torch"),
    ("shared/penstock/ledger/sqlite/fine.py", "import sqlalchemy.dialects.sqlite"),
    ("shared/penstock/ledger/dynamodb/fine.py", "import aiobotocore.session, botocore.exceptions"),
]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources that may be spoilt."""
    tree = tmp_path_factory.mktemp("tree")
    for folder in ("shared", "functions"):
        shutil.copytree(ROOT / folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tree)
    for path, line in ALLOWED:
        (tree / path).parent.mkdir(exist_ok=True)
        (tree / path).parent.joinpath("__init__.py").touch()
        (tree / path).write_text(line + "\n")
    return tree


@pytest.fixture
def breach(tree: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    path, line = request.param
    (tree / path).write_text(line + "\n")
    yield line
    (tree / path).unlink()


def lint(tree: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache", *options],
        cwd=tree,
        env=os.environ | {"PYTHONPATH": f"{tree / 'shared'}{os.pathsep}{tree}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("contract", "breach"),
    [pytest.param(contract, (path, line), id=f"{path}-{line}") for contract, path, line in BREACHES],
    indirect=["breach"],
)
def test_a_breach_is_found(tree: Path, contract: str, breach: str) -> None:
    result = lint(tree, "--contract", contract)
    assert result.returncode == 1, f"{breach!r} was allowed: {result.stdout}"
    assert "Contracts: 0 kept, 1 broken." in result.stdout


def test_what_each_library_is_for_is_allowed(tree: Path) -> None:
    result = lint(tree)
    assert result.returncode == 0, result.stdout


def test_every_contract_is_tried() -> None:
    contracts = [contract["id"] for contract in PROJECT["tool"]["importlinter"]["contracts"]]
    assert sorted(contracts) == sorted({contract for contract, _, _ in BREACHES})
