"""An engine whose device answers nothing any more: the process refuses, and ends to be replaced."""

import signal
from pathlib import Path

import pytest

from functions.gpu.process import Process
from penstock.errors import Unavailable
from penstock.settings import GpuSettings
from tests.integration.gpu.scripted import ScriptedEngine
from tests.integration.gpu.stand import CONFIG, TICKET_KEYS, chat, standing

pytestmark = pytest.mark.anyio


async def test_a_broken_engine_ends_its_process_and_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised: list[signal.Signals] = []
    monkeypatch.setattr("functions.gpu.service.signal.raise_signal", raised.append)
    engine = ScriptedEngine("never said")
    async with standing(tmp_path, engine) as stand:
        engine.alive = False
        answered = [await stand.post(chat()) for _ in range(2)]
        ready = await stand.http.get("/health/ready")
        assert [response.status_code for _, response in answered] == [503, 503]
        assert ready.status_code == 503
        assert [await stand.record(lease) for lease, _ in answered] == [None, None]
    assert raised == [signal.SIGTERM]  # once


async def test_who_runs_the_process_may_say_how_it_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A platform that would take the signal for a stop of everything in the container."""
    monkeypatch.setattr("functions.gpu.service.signal.raise_signal", pytest.fail)
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    settings = GpuSettings(ledger_url=url, ticket_keys=TICKET_KEYS, config=CONFIG, model="demo")
    engine, broken = ScriptedEngine(), []
    process = Process(settings, engine, on_broken=lambda: broken.append("once"))
    assert await process.start()
    engine.alive = False
    for _ in range(2):
        with pytest.raises(Unavailable):
            process.service().check()
    await process.stop()
    assert broken == ["once"]
