"""A function on Lambda in this process: its code imported anew, and invoked in one thread of its own."""

import asyncio
import importlib
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog


class Context:
    """What Lambda says of an invocation."""

    def __init__(self, remaining_s: float = 60) -> None:
        self._remaining_s = remaining_s

    def get_remaining_time_in_millis(self) -> int:
        return int(self._remaining_s * 1_000)


class Function:
    """One of functions.batch, by its name there. Its settings are this process's environment."""

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1)
        sys.modules.pop(f"functions.batch.{name}", None)
        self.module: Any = importlib.import_module(f"functions.batch.{name}")
        # It logs to what is the standard output now, which is not there any more in other tests.
        structlog.configure(cache_logger_on_first_use=False)

    async def invoke(self, event: object, context: Context | None = None) -> dict[str, Any]:
        """What it answers."""
        loop, invocation = asyncio.get_running_loop(), (event, context or Context())
        answer: dict[str, Any] = await loop.run_in_executor(self._thread, self.module.handler, *invocation)
        return answer

    @property
    def ledger(self) -> Any:
        """The ledger that it keeps open."""
        return self.module._function._plant.ledger

    async def end(self) -> None:
        """As the container's end, but tidy: warnings are errors here."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self.module._function.close)
        self._thread.shutdown()
        structlog.reset_defaults()
