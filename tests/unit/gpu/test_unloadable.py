"""What answers in place of a model that cannot be loaded."""

import asyncio

import httpx2
import orjson
import pytest
from starlette.types import Message

from functions.gpu.unloadable import RETRY_AFTER_S, refusal_to_load, unloadable

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/v1/chat/completions"), ("GET", "/health"), ("GET", "/health/ready"), ("PUT", "/anything?at=all")],
)
async def test_every_request_is_refused_in_the_envelope(method: str, path: str) -> None:
    transport = httpx2.ASGITransport(unloadable("demo"))
    async with httpx2.AsyncClient(transport=transport, base_url="http://gpu") as http:
        response = await http.request(method, path, content=b"{}")
    assert response.status_code == 503
    assert response.headers["penstock-gpu"] == "1"  # not a cold server's: nobody waits for it
    assert response.headers["retry-after"] == str(RETRY_AFTER_S)
    assert response.headers["x-should-retry"] == "false"
    error = response.json()["error"]
    assert (error["code"], error["type"]) == ("model_unreadable", "server_error")
    assert error["message"].startswith("The model 'demo' cannot be loaded.")
    assert "\n" not in error["message"]


async def test_a_name_that_is_not_plain_is_told_as_it_is() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError("the body is not needed")

    await unloadable("Größe/7b")({"type": "http", "method": "GET", "path": "/", "headers": []}, receive, send)
    start, body = sent
    assert dict(start["headers"])[b"content-length"] == str(len(body["body"])).encode()
    assert orjson.loads(body["body"]) == refusal_to_load("Größe/7b").envelope()


async def test_it_starts_and_ends_as_any_app() -> None:
    inbox: asyncio.Queue[Message] = asyncio.Queue()
    outbox: asyncio.Queue[Message] = asyncio.Queue()

    async def live() -> None:
        await unloadable("demo")({"type": "lifespan"}, inbox.get, outbox.put)

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(live())
        for event in ("startup", "shutdown"):
            await inbox.put({"type": f"lifespan.{event}"})
            assert await outbox.get() == {"type": f"lifespan.{event}.complete"}
