"""What is deployed as `edge-stream`: the zip's own wrapper, runtime and packages, under a stand-in for the Runtime API.

The emulator buffers every answer and knows no STREAM route, so it cannot show this.
"""

import os
from pathlib import Path
from zipfile import ZipFile

import pytest

from penstock.ledger import open_ledger
from penstock.ticket import TicketKeys
from tests.integration.edge.deployment import TABLE, TICKET_KEYS, enrol
from tests.integration.edge.edge_stream import HANDLER, Function
from tests.integration.edge.lambda_runtime import running
from tests.integration.edge.serving import serving
from tests.integration.edge.stand_in import StandIn, stream_of
from tests.servers.ministack import PYTHON

pytestmark = pytest.mark.anyio


def unpack(archive: Path, folder: Path) -> Path:
    """The files of the zip with their modes, as Lambda has them."""
    with ZipFile(archive) as zipped:
        zipped.extractall(folder)
        for info in zipped.infolist():
            if not info.is_dir():
                (folder / info.filename).chmod(info.external_attr >> 16)
    return folder


async def test_the_packaged_function_streams(zips: Path, dynamodb_url: str, tmp_path: Path) -> None:
    task = unpack(zips / "edge.zip", tmp_path / "task")
    (tmp_path / "penstock.toml").write_text(TABLE)
    ledger = await open_ledger(dynamodb_url)
    owner = await enrol(ledger)
    gpu_process = StandIn(TicketKeys.parse(TICKET_KEYS), ledger)
    async with serving(gpu_process) as url:
        settings = {
            **{name: value for name, value in os.environ.items() if name.startswith("AWS_")},
            "LAMBDA_TASK_ROOT": str(task),
            "PENSTOCK_CONFIG": str(tmp_path / "penstock.toml"),
            "PENSTOCK_LEDGER_URL": dynamodb_url,
            "PENSTOCK_TICKET_KEYS": TICKET_KEYS,
            "PENSTOCK_GPU_URL": url,
        }
        async with running(tmp_path, HANDLER, str(PYTHON), **settings) as runtime:
            function = Function(runtime, ledger, owner)
            stream = await function.chat(how={"timeout": 60.0}).done()
            assert stream.prelude["statusCode"] == 200, stream.body
            assert stream.body == b"".join(stream_of(gpu_process.calls[0]))
            assert runtime.api.wrong == []
    await ledger.close()
