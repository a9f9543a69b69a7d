"""The zip, unpacked and run by the emulator's interpreter with nothing else to import from."""

import json
import os
import subprocess
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.servers.environment import environment
from tests.servers.ministack import PYTHON
from tests.unit.infra.packaging.conftest import Build

_IMPORT_ALL = """
import importlib, os, re, sys, warnings
warnings.simplefilter("ignore")
failed = []
if sys.argv[1:] == ["batch"]:
    import modal  # some of its parts can be imported after it alone
sys.argv[1:] = []
for folder, _, names in os.walk("."):
    for name in names:
        path = os.path.normpath(os.path.join(folder, name))
        stem = re.split(r"[.](cpython-|abi3)", path)[0] if path.endswith(".so") else path.rpartition(".")[0]
        if "__pycache__" in path or not path.endswith((".py", ".pyc", ".so")):
            continue
        module = stem.replace("/", ".").removesuffix(".__init__")
        try:
            importlib.import_module(module)
        except BaseException as error:
            failed.append(f"{module}: {error!r}")
print(*failed, sep="\\n")
assert "fastapi.applications" in sys.modules and "functions.edge.streaming" in sys.modules or "modal" in sys.modules
"""
_HEALTH = """
import json
from functions.edge.handler import handler
class Context:
    aws_request_id = "r"
    def get_remaining_time_in_millis(self): return 28_000
print(json.dumps(handler(json.loads(input()), Context())))
"""
_CLIENTS = """
import asyncio
from aiobotocore.session import get_session
async def main():
    for service in ("dynamodb", "s3", "ssm"):
        async with get_session().create_client(service) as client:
            print(service, client.meta.endpoint_url)
asyncio.run(main())
"""


@pytest.fixture(scope="module")
def unpacked(edge: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _unpack(edge, tmp_path_factory.mktemp("edge"))


def _unpack(archive: Path, folder: Path) -> Path:
    with ZipFile(archive) as opened:
        opened.extractall(folder)
    return folder


def _run(program: str, folder: Path, *arguments: str, given: str = "") -> list[str]:
    settings = {
        "PENSTOCK_LEDGER_URL": "dynamodb://some-table",
        "PENSTOCK_TICKET_KEYS": "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "PENSTOCK_GPU_URL": "http://127.0.0.1:1",
        "PENSTOCK_OBJECTS_URL": "s3://some-bucket",
    }
    done = subprocess.run(
        [PYTHON, "-S", "-c", program, *arguments],  # -S: not even the emulator's own packages
        cwd=folder,
        env={"PATH": os.defpath, **environment("http://127.0.0.1:1"), **settings},
        input=given,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_every_module_of_the_edge_can_be_imported(unpacked: Path) -> None:
    assert [line for line in _run(_IMPORT_ALL, unpacked) if line] == []


def test_every_module_of_batch_can_be_imported(built: Build, tmp_path: Path) -> None:
    folder = _unpack(built("batch", "3.11", "x86_64").archive.path, tmp_path)
    assert [line for line in _run(_IMPORT_ALL, folder, "batch") if line] == []


def test_the_handler_answers(unpacked: Path) -> None:
    event = {
        "version": "2.0",
        "rawPath": "/health",
        "rawQueryString": "",
        "headers": {"host": "a.test"},
        "requestContext": {
            "http": {"method": "GET", "path": "/health", "sourceIp": "203.0.113.7"},
            "stage": "$default",
        },
        "isBase64Encoded": False,
    }
    answer = json.loads(_run(_HEALTH, unpacked, given=json.dumps(event) + "\n")[-1])
    assert answer["statusCode"] == 200
    assert json.loads(answer["body"])


def test_the_clients_in_use_can_be_made_of_what_is_left_of_botocore(unpacked: Path) -> None:
    lines = _run(_CLIENTS, unpacked)
    assert [line.split()[0] for line in lines] == ["dynamodb", "s3", "ssm"]
