"""What takes turns in the process of invocations.py: handlers, and what they do, done alone."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from mangum import Mangum

from benchmarks.edge import events
from benchmarks.failure import BenchmarkFailed
from penstock import admission, keys
from penstock.clock import now_ms
from penstock.ledger import Ledger, Reserved
from penstock.models import read_models
from penstock.schemas import read_chat_request
from penstock.settings import EdgeSettings, read_settings

_PAGE = 4_096  # bytes, as SQLite's
_COMMIT = 3  # pages that a reservation adds to the log
_LOG = 1_000  # pages, after which SQLite writes its log from the beginning again


@dataclass(frozen=True, slots=True)
class Subject:
    """What is measured: one request at a time. `during` is around its turns."""

    name: str
    request: Callable[[], None]
    during: AbstractContextManager[Any] = field(default_factory=nullcontext)


def invoked(name: str, to: Mangum, event: dict[str, Any], during: AbstractContextManager[Any] | None = None) -> Subject:
    """An invocation of a handler. What is not answered 200 ends the benchmark."""

    def request() -> None:
        answer = to(event, None)  # type: ignore[arg-type] # neither handler reads the context
        if answer["statusCode"] != 200:
            raise BenchmarkFailed(f"{name}: answered {answer['statusCode']}: {answer['body'][:400]}")

    return Subject(name, request, during or nullcontext())


def awaited(name: str, loop: asyncio.AbstractEventLoop, work: Callable[[], Awaitable[object]]) -> Subject:
    """Work of the event loop, run to its end from outside as Mangum runs the app."""

    async def once() -> None:
        await work()

    return Subject(name, lambda: loop.run_until_complete(once()))


def ledger_subjects(loop: asyncio.AbstractEventLoop, ledger: Ledger, api_key: str) -> Iterator[Subject]:
    """What the policies ask of the ledger, without the policies."""
    settings = read_settings(EdgeSettings)
    model = read_models(settings.config).models[0]
    key = keys.parse(api_key)
    caller = loop.run_until_complete(ledger.caller(key.id)) if key else None
    if key is None or caller is None:
        raise ValueError("the API key is not in the ledger")
    key_id, known = key.id, caller
    call = read_chat_request(events.CHAT)
    demand = admission.Demand(call.prompt_bytes, len(call.messages), call.limit)

    async def reserve() -> None:
        outcome = await admission.admit(
            ledger, known, model, demand, request_id=admission.new_request_id(), now=now_ms(), claim_within_s=300
        )
        if not isinstance(outcome, Reserved):
            raise BenchmarkFailed("a reservation was refused")

    yield awaited("look-up", loop, lambda: ledger.caller(key_id))
    yield awaited("reserve", loop, reserve)


@contextmanager
def flush(directory: Path) -> Iterator[Subject]:
    """Write what a reservation writes, and flush it: the disk's part of the reservation."""
    pages, place = os.urandom(_COMMIT * _PAGE), 0
    sync = getattr(os, "fdatasync", os.fsync)
    with (directory / "flushed").open("wb") as file:
        file.write(bytes(_LOG * _PAGE))
        file.flush()

        def write() -> None:
            nonlocal place
            os.pwrite(file.fileno(), pages, place)
            sync(file.fileno())
            place = (place + len(pages)) % (_LOG * _PAGE)

        yield Subject("flush", write)


def asked(loop: asyncio.AbstractEventLoop, http: aiohttp.ClientSession, upstream: str) -> Subject:
    """The upstream, asked for a whole answer without an edge."""

    async def ask() -> None:
        async with http.post(f"{upstream}/v1/chat/completions", data=events.CHAT) as response:
            await response.read()

    return awaited("upstream", loop, ask)
