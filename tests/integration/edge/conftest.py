"""`deploy` makes deployments of the edge that end with the test; `deployment` is one without limits.

`logged` is what the edge writes to its log; ask for it before what it shall hear of.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import orjson
import pytest
import structlog

from functions.edge import boundary, upstream
from tests.integration.edge.deployment import Deployment, deployed

Deploy = Callable[..., Awaitable[Deployment]]


@pytest.fixture
async def deploy(tmp_path: Path) -> AsyncIterator[Deploy]:
    """Makes a deployment; takes what `deployed` takes."""
    async with AsyncExitStack() as stack:

        async def make(**changes: Any) -> Deployment:
            return await stack.enter_async_context(deployed(tmp_path, **changes))

        yield make


@pytest.fixture
async def deployment(deploy: Deploy) -> Deployment:
    """A deployment without limits."""
    return await deploy()


@pytest.fixture
def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


class Logged:
    """The edge's log, as it was written to standard output."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.text = ""

    def read(self) -> str:
        """All that was written to standard output so far."""
        self.text += self._capsys.readouterr().out
        return self.text

    def lines(self) -> list[dict[str, Any]]:
        """Every line so far, as the JSON object that it is."""
        return [orjson.loads(line) for line in self.read().splitlines()]

    async def wait(self, count: int) -> list[dict[str, Any]]:
        """That many lines: each is written after its answer was sent."""
        async with asyncio.timeout(10):
            while len(self.lines()) < count:
                await asyncio.sleep(0.01)
        return self.lines()


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Logged:
    """The log of the deployments that are made after this."""
    # The process's loggers keep the standard output of the test that used them first.
    for module in (boundary, upstream):
        monkeypatch.setattr(module, "log", structlog.get_logger())
    return Logged(capsys)
