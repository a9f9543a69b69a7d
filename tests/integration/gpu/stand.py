"""A GPU process on a test stand: the real app under uvicorn on a free port, a scripted engine, a real ledger.

`Stand.post` does what the edge does: it reserves, signs a ticket and sends the body with it.
"""

import asyncio
import base64
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import orjson
import uvicorn

from functions.gpu.process import Process
from functions.gpu.server import app_of
from penstock.admission import Demand, admit, new_request_id
from penstock.clock import SECOND, now_ms
from penstock.ledger import Account, Caller, Key, Lease, Limits, Reserved, UsageRecord, open_ledger
from penstock.models import read_models
from penstock.settings import GpuSettings
from penstock.ticket import Ticket, TicketKeys, hash_body
from tests.integration.gpu.scripted import ScriptedEngine
from tests.integration.gpu.unreliable import UnreliableLedger

CONFIG = Path(__file__).parents[3] / "penstock.toml"
TICKET_KEYS = "test:" + base64.b64encode(b"a secret of thirty-two bytes, ok").decode()
CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
EMBEDDINGS = "/v1/embeddings"
SINCE = 1  # so that a process may be started again on the ledger of an earlier one
PATIENCE = 20.0  # seconds; conditions decide, this only ends a test that is broken


async def until(what: str, holds: Callable[[], Any], patience: float = PATIENCE) -> None:
    """Wait for a condition."""
    end = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < end, f"waited in vain: {what}"
        await asyncio.sleep(0.005)


def chat(text: str = "hi", **parameters: Any) -> dict[str, Any]:
    """The body of a request for a chat completion."""
    return {"model": "demo", "messages": [{"role": "user", "content": text}], **parameters}


def completion(prompt: Any = "hi", **parameters: Any) -> dict[str, Any]:
    """The body of a request for a completion."""
    return {"model": "demo", "prompt": prompt, **parameters}


def embedding(text: Any = "hi", **parameters: Any) -> dict[str, Any]:
    """The body of a request for embeddings."""
    return {"model": "demo", "input": text, **parameters}


def route_of(request: dict[str, Any]) -> str:
    """Where a body belongs."""
    return CHAT if "messages" in request else COMPLETIONS if "prompt" in request else EMBEDDINGS


def answers_of(request: dict[str, Any]) -> int:
    """How many answers a body asks for, to all its prompts."""
    prompt = request.get("prompt")
    prompts = len(prompt) if isinstance(prompt, list) and isinstance(prompt[0], str | list) else 1
    return prompts * int(request.get("n", 1))


def events(text: str) -> list[Any]:
    """A stream's events, comments left out; `[DONE]` as text."""
    lines = [line.removeprefix("data: ").strip() for line in text.split("\n\n") if line.startswith("data: ")]
    return [line if line == "[DONE]" else orjson.loads(line) for line in lines]


def text_of(stream: list[Any]) -> str:
    """All the text in a stream's events."""
    chunks = [event for event in stream if event != "[DONE]"]
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


@dataclass
class Stand:
    """A running GPU process and everything around it."""

    http: httpx2.AsyncClient
    server: uvicorn.Server
    process: Process
    engine: ScriptedEngine
    ledger: UnreliableLedger
    caller: Caller
    settings: GpuSettings
    port: int

    async def lease(self, *, prompt_bytes: int = 64, max_tokens: int | None = None, choices: int = 1) -> Lease:
        """Reserve for one message, and for so many answers."""
        model = read_models(CONFIG).get("demo")
        assert model is not None
        outcome = await admit(
            self.ledger.as_ledger(),
            self.caller,
            model,
            Demand(prompt_bytes=prompt_bytes, messages=1, max_tokens=max_tokens, choices=choices),
            request_id=new_request_id(),
            now=now_ms(),
            claim_within_s=60,
        )
        assert isinstance(outcome, Reserved), outcome
        return outcome.lease

    def ticket(self, lease: Lease, body: bytes, *, valid_s: int = 60, keys: str = TICKET_KEYS) -> str:
        """A ticket for the lease and the body."""
        ticket = Ticket(lease, hash_body(body), now_ms() + valid_s * SECOND)
        return TicketKeys.parse(keys).sign(ticket)

    async def prepare(self, request: dict[str, Any]) -> tuple[Lease, bytes, dict[str, str]]:
        """A lease, a body and the headers to post it with."""
        body = orjson.dumps(request)
        lease = await self.lease(prompt_bytes=len(body), choices=answers_of(request))
        return lease, body, {"Penstock-Ticket": self.ticket(lease, body)}

    async def post(self, request: dict[str, Any]) -> tuple[Lease, httpx2.Response]:
        """Reserve, and send the request with its ticket."""
        lease, body, headers = await self.prepare(request)
        return lease, await self.http.post(route_of(request), content=body, headers=headers)

    @asynccontextmanager
    async def stream(self, request: dict[str, Any]) -> AsyncIterator[tuple[Lease, httpx2.Response]]:
        """The same, with the response's body still to come."""
        lease, body, headers = await self.prepare({**request, "stream": True})
        async with self.http.stream("POST", route_of(request), content=body, headers=headers) as response:
            yield lease, response

    async def record(self, lease: Lease) -> UsageRecord | None:
        """What was booked for the lease."""
        return await self.ledger.as_ledger().record(lease.id)

    async def booked(self, lease: Lease) -> UsageRecord:
        """The same, waited for."""
        end = time.monotonic() + PATIENCE
        while (record := await self.record(lease)) is None:
            assert time.monotonic() < end, "nothing was booked"
            await asyncio.sleep(0.005)
        return record

    async def ready(self) -> None:
        """Wait until it takes requests."""
        end = time.monotonic() + PATIENCE
        while (await self.http.get("/health/ready")).status_code != 200:
            assert time.monotonic() < end, "it takes no requests"
            await asyncio.sleep(0.005)

    async def reserved(self) -> int:
        """How many requests of the account are set aside for now."""
        standings = await self.ledger.as_ledger().standings(self.caller, now_ms())
        return next(iter(standings.values())).reserved


@asynccontextmanager
async def standing(folder: Path, engine: ScriptedEngine, **settings: Any) -> AsyncIterator[Stand]:
    """A GPU process for as long as the block runs."""
    url = f"sqlite:///{folder / 'ledger.db'}"
    ledger = UnreliableLedger(await open_ledger(url))
    caller = Caller(
        Account("acme", "Acme", SINCE, limits=Limits(concurrent_requests=1_000)),
        Key("key_1", "acme", "laptop", "0" * 64, SINCE),
    )
    await ledger.as_ledger().create_account(caller.account)
    await ledger.as_ledger().create_key(caller.key)
    parts = GpuSettings(ledger_url=url, ticket_keys=TICKET_KEYS, config=CONFIG, model="demo", **settings)
    process = Process(parts, engine, ledger.as_ledger())
    app = app_of(process)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    server = uvicorn.Server(
        uvicorn.Config(app, log_config=None, access_log=False, lifespan="on", timeout_graceful_shutdown=5)
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    await until("the server starts", lambda: server.started or serving.done())
    try:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as http:
            yield Stand(http, server, process, engine, ledger, caller, parts, port)
    finally:
        server.should_exit = True
        await serving
        listener.close()
