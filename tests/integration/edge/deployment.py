"""The edge as deployed: under uvicorn, with a ledger file, in front of a stand-in for the GPU process."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from fastapi import FastAPI
from pydantic import SecretStr

from functions.edge.app import create_app
from functions.edge.edge import Edge
from penstock import keys
from penstock.clock import now_ms
from penstock.keys import ApiKey
from penstock.ledger import Account, Caller, Key, Ledger, Limits, Standings, open_ledger
from penstock.settings import EdgeSettings
from penstock.ticket import TicketKeys
from tests.integration.edge.serving import serving
from tests.integration.edge.stand_in import StandIn

TICKET_KEYS = "k1:" + base64.b64encode(b"of thirty-two bytes and some more").decode()
PROMPT = "How does a penstock work, my xyloprompt?"
CHAT: dict[str, Any] = {"model": "demo", "messages": [{"role": "user", "content": PROMPT}], "max_tokens": 16}
COMPLETION: dict[str, Any] = {"model": "demo", "prompt": [PROMPT, "Once"], "max_tokens": 16}
EMBEDDING: dict[str, Any] = {"model": "demo", "input": PROMPT}
REQUESTS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": CHAT,
    "/v1/completions": COMPLETION,
    "/v1/embeddings": EMBEDDING,
}
TABLE = """
[models.demo]
source = "nowhere"
aliases = ["small"]
context_length = 1024
embeddings = { pooling = "mean", dimensions = [2] }
template_tokens = 16
template_tokens_per_message = 4
created = 2026-01-02
prices = [{ effective = 2026-01-01, prompt = 0.10, cached_prompt = 0.05, completion = 0.40 }]

[models."acme/large"]
source = "nowhere"
context_length = 4096
completions = false
owned_by = "acme"
created = 2026-01-03
prices = [{ effective = 2026-01-01, prompt = 1, cached_prompt = 0.5, completion = 4 }]

[models.unpriced]
source = "nowhere"
context_length = 1024
prices = [{ effective = 9999-01-01, prompt = 1, cached_prompt = 1, completion = 1 }]

[models.vectors]
source = "nowhere"
context_length = 512
chat = false
completions = false
embeddings = { pooling = "last" }
prices = [{ effective = 2026-01-01, prompt = 0.01, cached_prompt = 0.01, completion = 0 }]
"""


@dataclass(frozen=True)
class Owner:
    """Who calls: an account, and a key in clear."""

    caller: Caller
    key: ApiKey

    @property
    def bearer(self) -> dict[str, str]:
        """The headers that authenticate the owner."""
        return {"Authorization": f"Bearer {self.key.reveal()}"}


async def enrol(
    ledger: Ledger, account_limits: Limits | None = None, key_limits: Limits | None = None, **key_fields: Any
) -> Owner:
    """A new account with one key."""
    api_key, now = keys.mint(), now_ms()
    account = Account(f"acct_{api_key.id}", "Acme", now, limits=account_limits or Limits())
    key = Key(api_key.id, account.id, "first", api_key.digest(), now, limits=key_limits or Limits(), **key_fields)
    await ledger.create_account(account)
    await ledger.create_key(key)
    return Owner(Caller(account, key), api_key)


def settings_of(folder: Path, gpu_url: str, **changes: Any) -> EdgeSettings:
    """The edge's settings. `changes` are not validated, so that a test may have times of milliseconds."""
    table = folder / "penstock.toml"
    table.write_text(TABLE)
    settings = EdgeSettings(
        ledger_url=f"sqlite:///{folder / 'ledger.db'}",
        ticket_keys=SecretStr(TICKET_KEYS),
        config=table,
        gpu_url=gpu_url,
        objects_url=f"file://{folder / 'objects'}",
    )
    return settings.model_copy(update=changes)


@dataclass
class Deployment:
    """A served edge, with all that a test may want to look at."""

    app: FastAPI
    url: str
    client: httpx2.AsyncClient
    ledger: Ledger
    owner: Owner
    gpu: StandIn
    gpu_url: str

    @property
    def edge(self) -> Edge:
        """The app's resources."""
        edge = self.app.state.edge
        assert isinstance(edge, Edge)
        return edge

    async def chat(self, headers: dict[str, str] | None = None, **changes: Any) -> httpx2.Response:
        """A chat completion."""
        return await self.ask("/v1/chat/completions", headers, **changes)

    async def ask(self, path: str, headers: dict[str, str] | None = None, **changes: Any) -> httpx2.Response:
        """A request of one of the routes that reach the GPU."""
        return await self.client.post(
            path, json={**REQUESTS[path], **changes}, headers={**self.owner.bearer, **(headers or {})}
        )

    async def get(self, path: str) -> httpx2.Response:
        """Any resource, with the owner's key."""
        return await self.client.get(path, headers=self.owner.bearer)

    async def standings(self) -> Standings:
        """How the owner stands with its limits."""
        return await self.ledger.standings(self.owner.caller, now_ms())


@asynccontextmanager
async def deployed(
    folder: Path, *, account_limits: Limits | None = None, key_limits: Limits | None = None, **changes: Any
) -> AsyncIterator[Deployment]:
    """A deployment in `folder`, over real connections. `changes` are settings; `{gpu}` in one is the GPU's URL."""
    ledger = await open_ledger(f"sqlite:///{folder / 'ledger.db'}")
    owner = await enrol(ledger, account_limits, key_limits)
    gpu = StandIn(TicketKeys.parse(TICKET_KEYS), ledger)
    try:
        async with serving(gpu) as gpu_url:
            settings = settings_of(folder, changes.pop("gpu_url", gpu_url), **_filled(changes, gpu_url))
            app = create_app(settings)
            async with serving(app, "on") as url, httpx2.AsyncClient(base_url=url, timeout=30) as client:
                yield Deployment(app, url, client, ledger, owner, gpu, gpu_url)
    finally:
        await ledger.close()


def _filled(changes: dict[str, Any], gpu_url: str) -> dict[str, Any]:
    return {name: gpu_url if value == "{gpu}" else value for name, value in changes.items()}
