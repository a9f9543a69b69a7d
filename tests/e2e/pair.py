"""An edge and a GPU process as they are deployed, over a table of the test's, for which `serve` has no option."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
from openai import OpenAI

from penstock.clock import now_ms
from penstock.keys import mint
from penstock.ledger import Account, Key, UsageRecord, open_ledger
from tests.e2e.service import PATIENCE, on_ledger
from tests.integration.gpu.running import Gpu, gpu

EDGE = "functions.edge.app:create_app"


@dataclass
class Pair:
    """The two processes, and OpenAI's client for them."""

    client: OpenAI
    gpu: Gpu
    ledger_url: str

    def records(self) -> list[UsageRecord]:
        """What was booked."""
        return list(on_ledger(self.ledger_url, lambda ledger: ledger.records()))


@contextmanager
def pair(folder: Path, table: str, **settings: str) -> Iterator[Pair]:
    """The pair, ready, for as long as the block runs; `settings` go into the GPU process's environment."""
    url = f"sqlite:///{folder / 'ledger.db'}"
    key = asyncio.run(_key(url))
    (folder / "edge").mkdir()
    with gpu(folder, table=table, **settings) as model:
        shared = {"PENSTOCK_LEDGER_URL": url, "PENSTOCK_CONFIG": str(folder / "penstock.toml")}
        upstream = f"http://127.0.0.1:{model.port}"
        with gpu(folder / "edge", EDGE, **shared, PENSTOCK_GPU_URL=upstream) as edge:
            _wait(model)
            _wait(edge)
            base = f"http://127.0.0.1:{edge.port}/v1"
            with OpenAI(base_url=base, api_key=key, max_retries=0, timeout=60) as client:
                yield Pair(client, model, url)


async def _key(url: str) -> str:
    """A key on a new ledger."""
    minted = mint()
    ledger = await open_ledger(url)
    await ledger.create_account(Account("acme", "Acme", now_ms()))
    await ledger.create_key(Key(minted.id, "acme", "laptop", minted.digest(), now_ms()))
    await ledger.close()
    return minted.reveal()


def _wait(process: Gpu) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        assert process.process.poll() is None, process.output()
        assert time.monotonic() < end, process.output()
        try:
            if httpx2.get(f"http://127.0.0.1:{process.port}/health/ready").status_code == 200:
                return
        except httpx2.TransportError:
            time.sleep(0.05)
