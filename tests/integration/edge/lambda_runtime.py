"""`functions.edge.streaming` as Lambda runs it: a process, started through the wrapper, under a Runtime API.

It ends with its Runtime API, of whatever that ends: who asks it for the next invocation in vain gives up.
"""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tests.integration.edge.invocations import SHAPES, Sent
from tests.servers.runtime_api import Invocation, Manner, RuntimeApi, runtime_api

ROOT = Path(__file__).parents[3]
WRAPPER = Path("functions/edge/stream")
SCRIPTED = "tests.integration.edge.scripted_function.handler"
END_WITHIN = 30.0  # seconds


@dataclass
class Runtime:
    """The running function. `place` is where the scripted app and the test meet."""

    api: RuntimeApi
    process: Process
    place: Path

    def get(self, path: str, *, shape: str = "rest_api", method: str = "GET", **how: Any) -> Invocation:
        """Invoke it with a request that has no body."""
        return self.api.invoke(SHAPES[shape](Sent(method, path)), **how)

    def go(self, step: int) -> None:
        """Let the scripted app do this step."""
        (self.place / f"go-{step}").touch()

    async def wait_for(self, name: str) -> str:
        """What the scripted app has written under this name, once it is there."""
        async with asyncio.timeout(END_WITHIN):
            while not (self.place / name).exists():
                await asyncio.sleep(0.005)
        return (self.place / name).read_text()

    def log(self) -> str:
        """What it wrote to both of its outputs."""
        return (self.place / "log").read_text()

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The lines of its log with that event."""
        lines = [orjson.loads(line) for line in self.log().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == event]

    async def works(self) -> None:
        """It goes on: the next invocation is answered, and the Runtime API has nothing to complain of."""
        assert (await self.get("/tiny").done()).prelude["statusCode"] == 200
        assert self.api.wrong == []

    async def ended(self) -> int:
        """Its exit status, once it has ended."""
        async with asyncio.timeout(END_WITHIN):
            return await self.process.wait()


@asynccontextmanager
async def running(
    place: Path, handler: str = SCRIPTED, python: str = sys.executable, **environment: str
) -> AsyncIterator[Runtime]:
    """The function, while the block runs. Warnings are errors in it."""
    root = Path(environment.get("LAMBDA_TASK_ROOT", ROOT))
    async with runtime_api() as api:
        with (place / "log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *(str(root / WRAPPER), python, "/var/runtime/bootstrap.py"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=place,  # the function's own files are found by LAMBDA_TASK_ROOT
                env={
                    "PATH": os.environ["PATH"],
                    "PYTHONWARNINGS": "error",
                    "AWS_LAMBDA_RUNTIME_API": api.address,
                    "AWS_LAMBDA_FUNCTION_NAME": "penstock-edge-stream",
                    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
                    "LAMBDA_TASK_ROOT": str(root),
                    "_HANDLER": handler,
                    "PLACE": str(place),
                    **environment,
                },
            )
        try:
            yield Runtime(api, process, place)
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGKILL)
                await process.wait()


__all__ = ["Manner", "Runtime", "running"]
