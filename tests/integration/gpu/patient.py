"""A GPU process whose answers wait half-way for a file: `uvicorn --factory tests.integration.gpu.patient:create`."""

import asyncio
import os
from pathlib import Path
from typing import Literal

from starlette.types import ASGIApp
from typing_extensions import override

from functions.gpu.server import create_app
from tests.integration.gpu.scripted import ScriptedEngine


class FileThere(asyncio.Event):
    """Set when the file is there."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    @override
    async def wait(self) -> Literal[True]:
        while not self._path.exists():
            await asyncio.sleep(0.01)
        return True


def create() -> ASGIApp:
    """The app, with everything but the engine from the environment."""
    return create_app(engine=ScriptedEngine("a", FileThere(Path(os.environ["GO"])), "b"))
