"""A GPU process of its own: uvicorn, a factory and the environment, as it is deployed."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import orjson

from penstock.admission import Demand, admit, new_request_id
from penstock.clock import SECOND, now_ms
from penstock.ledger import Caller, Ledger, Reserved
from penstock.models import read_models
from penstock.ticket import Ticket, TicketKeys, hash_body
from tests.integration.gpu.stand import TICKET_KEYS

APP = "functions.gpu.server:create_app"
ROOT = Path(__file__).parents[3]
TABLE = """
[models.tiny]
source = "tiny"
context_length = 256
[[models.tiny.prices]]
effective = 2026-01-01
prompt = 0.10
cached_prompt = 0.05
completion = 0.40
"""


@dataclass
class Gpu:
    """A GPU process and what it wrote."""

    process: "subprocess.Popen[bytes]"
    folder: Path
    port: int

    def output(self) -> str:
        """Standard output and standard error."""
        return (self.folder / "out").read_text() + (self.folder / "err").read_text()

    def lines(self) -> list[dict[str, Any]]:
        """The log, which is all of standard output."""
        return [orjson.loads(line) for line in (self.folder / "out").read_text().splitlines()]


@contextmanager
def gpu(folder: Path, app: str = APP, table: str = TABLE, **environment: str) -> Iterator[Gpu]:
    """The process, on a free port, for as long as the block runs. It serves the model `tiny` of the table."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "penstock.toml").write_text(table)
    settings = {
        "PENSTOCK_LEDGER_URL": f"sqlite:///{folder / 'ledger.db'}",
        "PENSTOCK_TICKET_KEYS": TICKET_KEYS,
        "PENSTOCK_CONFIG": str(folder / "penstock.toml"),
        "PENSTOCK_MODEL": "tiny",
        "PENSTOCK_THREADS": "1",
    }
    command = [sys.executable, "-m", "uvicorn", "--factory", app, "--no-access-log"]
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        process = subprocess.Popen(
            [*command, "--port", str(port), "--timeout-graceful-shutdown", "5"],
            cwd=ROOT,
            env={**os.environ, **settings, **environment},
            stdout=out,
            stderr=err,
        )
    try:
        yield Gpu(process, folder, port)
    finally:
        process.kill()
        process.wait()


async def ticket(ledger: Ledger, caller: Caller, config: Path, body: bytes) -> str:
    """A ticket for the body, on a new reservation."""
    model = read_models(config).get("tiny")
    assert model is not None
    demand = Demand(prompt_bytes=len(body), messages=1, max_tokens=None)
    outcome = await admit(ledger, caller, model, demand, request_id=new_request_id(), now=now_ms(), claim_within_s=60)
    assert isinstance(outcome, Reserved)
    signed = Ticket(outcome.lease, hash_body(body), now_ms() + 60 * SECOND)
    return TicketKeys.parse(TICKET_KEYS).sign(signed)


async def ready(http: httpx2.AsyncClient, running: Gpu) -> None:
    """Wait until it takes requests."""
    while True:
        assert running.process.poll() is None, running.output()
        try:
            if (await http.get("/health/ready")).status_code == 200:
                return
        except httpx2.TransportError:
            await asyncio.sleep(0.05)
