"""The end of the process: running streams end or are settled, and nothing new is begun."""

import asyncio
from pathlib import Path

import pytest
from starlette.types import ASGIApp, Message

from functions.gpu.server import create_app
from penstock.ledger import open_ledger
from penstock.settings import GpuSettings
from tests.integration.gpu.scripted import ScriptedEngine
from tests.integration.gpu.stand import CONFIG, TICKET_KEYS, chat, events, standing, text_of, until
from tests.integration.gpu.unreliable import UnreliableLedger

pytestmark = pytest.mark.anyio


async def test_a_stream_that_ends_in_time_is_whole(tmp_path: Path) -> None:
    go = asyncio.Event()
    engine = ScriptedEngine("a", go, "b")
    async with standing(tmp_path, engine) as stand, stand.stream(chat()) as (lease, response):
        stand.server.should_exit = True
        await asyncio.sleep(0.2)
        go.set()
        text = (await response.aread()).decode()
        record = await stand.record(lease)
    assert text_of(events(text)) == "ab"
    assert events(text)[-1] == "[DONE]"
    assert record is not None
    assert record.outcome == "completed"
    assert engine.closed


async def test_a_stream_that_does_not_is_told_and_settled(tmp_path: Path) -> None:
    never = asyncio.Event()
    engine = ScriptedEngine("a", "b", never)
    async with standing(tmp_path, engine) as stand, stand.stream(chat("hi")) as (lease, response):
        stand.server.config.timeout_graceful_shutdown = 0
        stand.server.should_exit = True
        text = (await response.aread()).decode()
        await until("the slot is free", lambda: engine.active == 0)
        await until("all is closed", lambda: engine.closed)
    *_, last = events(text)
    assert last["error"]["code"] == "gpu_stopping"
    ledger = await open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    record = await ledger.record(lease.id)
    await ledger.close()
    assert record is not None
    assert (record.outcome, record.usage.prompt_tokens, record.usage.completion_tokens) == ("cancelled", 5, 2)


async def test_a_stream_may_go_on_for_as_long_as_is_set(tmp_path: Path) -> None:
    """The service itself ends it, where whoever serves HTTP waits for it."""
    never = asyncio.Event()
    engine = ScriptedEngine("a", "b", never)
    async with (
        standing(tmp_path, engine, shutdown_grace_s=0.05) as stand,
        stand.stream(chat("hi")) as (lease, response),
    ):
        closing = asyncio.create_task(stand.process.stop())
        text = (await response.aread()).decode()
        await closing
        assert engine.closed
    assert events(text)[-1]["error"]["code"] == "gpu_stopping"
    ledger = await open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    record = await ledger.record(lease.id)
    await ledger.close()
    assert record is not None
    assert (record.outcome, record.usage.completion_tokens) == ("cancelled", 2)


async def test_a_settlement_that_waits_for_the_ledger_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("functions.gpu.bookkeeper.SETTLE_WITHIN_S", 0.01)
    async with standing(tmp_path, ScriptedEngine("a")) as stand:
        stand.ledger.held["settle"] = asyncio.Event()
        lease, response = await stand.post(chat())
        assert response.status_code == 200
        stand.server.should_exit = True
        await asyncio.sleep(0.3)
        assert not stand.engine.closed
        stand.ledger.held.pop("settle").set()
        await until("all is closed", lambda: stand.engine.closed)
    ledger = await open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    record = await ledger.record(lease.id)
    await ledger.close()
    assert record is not None


class Host:
    """A server of a few lines: it speaks the lifespan, and asks for anything whenever it likes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self.outbox: asyncio.Queue[Message] = asyncio.Queue()

    async def live(self) -> None:
        """The lifespan, to its end."""
        await self._app({"type": "lifespan"}, self._inbox.get, self.outbox.put)

    async def say(self, event: str) -> str:
        """Send `startup` or `shutdown`; what was answered."""
        await self._inbox.put({"type": f"lifespan.{event}"})
        return str((await self.outbox.get())["type"])

    async def status(self, path: str) -> int:
        """The status of a GET."""
        scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": []}
        messages: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request"}

        async def send(message: Message) -> None:
            messages.append(message)

        await self._app(scope, receive, send)
        return int(messages[0]["status"])


@pytest.mark.parametrize("path", ["/health/ready", "/metrics"])
async def test_it_is_ready_between_its_start_and_its_end(tmp_path: Path, path: str) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    ledger = UnreliableLedger(await open_ledger(url))
    settings = GpuSettings(ledger_url=url, ticket_keys=TICKET_KEYS, config=CONFIG, model="demo")
    host = Host(create_app(settings=settings, engine=ScriptedEngine(), ledger=ledger.as_ledger()))
    async with asyncio.TaskGroup() as group:
        group.create_task(host.live())
        statuses = [await host.status(path)]
        assert await host.say("startup") == "lifespan.startup.complete"
        statuses.append(await host.status(path))
        assert await host.say("shutdown") == "lifespan.shutdown.complete"
        statuses.append(await host.status(path))
    assert statuses == [503, 200, 503]
