"""Modal as its client shows it, played from a script: what a deployed class yields, and which calls were cancelled."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import modal
import modal.exception
import pytest

Step = object  # an item; an exception, which is raised; an event, which is waited for; or FOREVER
FOREVER = object()  # until the call is cancelled


@dataclass
class ScriptedModal:
    """Calls are played one after another. A head is `head(n)`, n from 1; its call is `fc-n`."""

    scripts: list[tuple[Step, ...]] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)  # with the API key, as `api_key`
    cancelled: list[str] = field(default_factory=list)
    found: list[tuple[str, str, str | None]] = field(default_factory=list)  # app, class and environment
    closed: int = 0  # streams that were let go, or ended
    _told: dict[str, Callable[[], None]] = field(default_factory=dict)

    def play(self, *scripts: tuple[Step, ...]) -> None:
        """Set what the next calls yield."""
        self.scripts.extend(scripts)

    def from_name(self, app: str, name: str, *, environment_name: str | None) -> Any:
        """As `modal.Cls.from_name`."""
        self.found.append((app, name, environment_name))
        generate = SimpleNamespace(remote_gen=SimpleNamespace(aio=self._call))
        asked = SimpleNamespace(remote=SimpleNamespace(aio=self._ask))
        return lambda: SimpleNamespace(generate=generate, models=asked, usage=asked)

    def from_id(self, call: str) -> Any:
        """As `modal.FunctionCall.from_id`."""

        async def cancel() -> None:
            self.cancelled.append(call)
            self._told.get(call, lambda: None)()

        return SimpleNamespace(cancel=SimpleNamespace(aio=cancel))

    async def _ask(self, asked: object, *, api_key: str | None) -> object:
        """As a method that is no generator: one step of its script."""
        self.requests.append({"asked": asked, "api_key": api_key})
        (step,) = self.scripts[len(self.requests) - 1]
        if isinstance(step, BaseException):
            raise step
        if isinstance(step, asyncio.Event):
            await step.wait()
        return step

    async def _call(self, request: dict[str, Any], *, api_key: str | None) -> AsyncIterator[object]:
        self.requests.append({**request, "api_key": api_key})
        number = len(self.requests)
        cancelled = asyncio.Event()
        self._told[f"fc-{number}"] = cancelled.set
        try:
            for step in self.scripts[number - 1]:
                if isinstance(step, BaseException):
                    raise step
                if step is FOREVER:
                    await cancelled.wait()
                    raise modal.exception.InputCancellation("Input was cancelled")
                if isinstance(step, asyncio.Event):
                    await step.wait()
                else:
                    yield step
        finally:
            self.closed += 1


def head(number: int = 1) -> dict[str, str]:
    """The first item of the call of that number."""
    return {"call": f"fc-{number}", "request": f"req_{number}"}


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> ScriptedModal:
    """Modal's client, led to a script. Nothing is waited for between tries but what the API asks for."""
    played = ScriptedModal()
    monkeypatch.setattr(modal.Cls, "from_name", played.from_name)
    monkeypatch.setattr(modal.FunctionCall, "from_id", played.from_id)
    monkeypatch.setattr("penstock.client.retries.FIRST_BACKOFF", 0.0)
    return played
