"""The edge as `edge-stream` runs it: its handler under the streaming runtime, with a ledger and a caller."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from penstock.ledger import Ledger, open_ledger
from tests.integration.edge.deployment import CHAT, TABLE, TICKET_KEYS, Owner, enrol
from tests.integration.edge.invocations import SHAPES, Sent
from tests.integration.edge.lambda_runtime import Runtime, running
from tests.servers.runtime_api import Invocation

HANDLER = "functions.edge.handler.handler"


@dataclass
class Function:
    """The function with its ledger, and somebody who calls it."""

    runtime: Runtime
    ledger: Ledger
    owner: Owner

    def chat(
        self, *, shape: str = "rest_api", headers: dict[str, str] | None = None, how: Any = None, **changes: Any
    ) -> Invocation:
        """A chat completion, as a stream unless it says otherwise. `how` goes to the Runtime API."""
        body = orjson.dumps({**CHAT, "stream": True, **changes})
        sent = {"Content-Type": "application/json", **self.owner.bearer, **(headers or {})}
        event_sent = SHAPES[shape](Sent("POST", "/v1/chat/completions", sent, "", body))
        return self.runtime.api.invoke(event_sent, **(how or {}))

    async def booked(self) -> int:
        """The completion tokens that the ledger has booked, once it has."""
        async with asyncio.timeout(30):
            while not (records := await self.ledger.records()):
                await asyncio.sleep(0.02)
        return sum(record.usage.completion_tokens for record in records)


@asynccontextmanager
async def deployed(place: Path, gpu_url: str, table: str = TABLE, **changes: str) -> AsyncIterator[Function]:
    """The edge as `edge-stream` runs it."""
    (place / "penstock.toml").write_text(table)
    url = f"sqlite:///{place / 'ledger.db'}"
    ledger = await open_ledger(url)
    owner = await enrol(ledger)
    settings = {
        "PENSTOCK_CONFIG": str(place / "penstock.toml"),
        "PENSTOCK_LEDGER_URL": url,
        "PENSTOCK_TICKET_KEYS": TICKET_KEYS,
        "PENSTOCK_GPU_URL": gpu_url,
        **changes,
    }
    try:
        async with running(place, HANDLER, **settings) as runtime:
            yield Function(runtime, ledger, owner)
            assert runtime.api.wrong == []
    finally:
        await ledger.close()
