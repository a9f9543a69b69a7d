"""A cold start's two lines: which phases they tell of, and since when."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from functions.gpu import cold_start
from functions.gpu.cold_start import PARTS, ColdStart, process_began
from functions.gpu.engine import EngineOptions, Quantization, load_engine
from tests.tiny_model import make_tiny_model

TICK = 0.011  # seconds: the system counts a process's start in hundredths
Line = dict[str, Any]
LOAD_SECONDS = {"imports": 3.0, "config": 1.0, "weights": 1.5, "device": 4.0, "graphs": 5.0, "warm-up": 0.25}


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[Line]:
    """What was logged."""
    logged: list[Line] = []

    class Log:
        def info(self, event: str, **facts: object) -> None:
            logged.append({"event": event, **facts})

    monkeypatch.setattr(cold_start, "log", Log())
    return logged


def test_a_process_knows_when_it_began() -> None:
    program = "from functions.gpu.cold_start import process_began; print(process_began())"
    before = time.monotonic()  # the same clock for every process
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert before - TICK <= float(done.stdout) <= time.monotonic()
    assert process_began() < before


@pytest.mark.parametrize("stat", [None, "", "1 (python) S 1", "1 (py) thon) " + "x " * 40, "1 (p) " + "9" * 400])
def test_where_the_system_does_not_say_it_began_now(monkeypatch: pytest.MonkeyPatch, stat: str | None) -> None:
    def read_text(_: Path) -> str:
        if stat is None:
            raise FileNotFoundError("no /proc here")
        return stat

    monkeypatch.setattr(Path, "read_text", read_text)
    before = time.monotonic()
    assert before <= process_began() <= time.monotonic()


def test_an_engines_phases_are_added_up_by_what_they_are_part_of(lines: list[Line]) -> None:
    start = ColdStart()
    with start.phase("load"):
        pass
    with pytest.raises(RuntimeError), start.phase("open"):
        raise RuntimeError("a phase that fails has taken its time, too")
    start.engine(LOAD_SECONDS)
    start.ready("demo")
    (line,) = lines
    assert (line["event"], line["model"], line["woken"]) == ("cold_start", "demo", False)
    assert list(line["seconds"]) == ["start", "load", "open", "import", "copy", "capture"]
    assert line["seconds"]["load"] >= 2.5
    assert [line["seconds"][name] for name in ("import", "copy", "capture")] == [3.0, 4.0, 5.25]
    assert 0 < line["seconds"]["start"] <= line["total_s"]


def test_a_process_that_was_woken_tells_what_it_did_since(lines: list[Line]) -> None:
    start = ColdStart()
    with start.phase("load"):
        pass
    woken = time.monotonic()
    start.woken()
    start.engine(LOAD_SECONDS)
    start.ready("demo")
    (line,) = lines
    assert line["woken"]
    assert line["seconds"] == {"copy": 4.0, "capture": 5.25}
    assert line["total_s"] <= time.monotonic() - woken + 0.001


def test_the_first_token_is_told_once(lines: list[Line]) -> None:
    start = ColdStart()
    start.woken()
    began = time.monotonic()
    start.first_token(began, None)  # a request that was refused, or that embeds
    start.first_token(began + 1, began + 3)
    start.first_token(began + 2, began + 9)
    (line,) = lines
    assert line["event"] == "first_token"
    assert line["of_request_s"] == 2
    assert line["since_start_s"] >= 3


@pytest.mark.anyio
async def test_every_phase_of_an_engine_is_part_of_something(tmp_path: Path) -> None:
    options = EngineOptions(make_tiny_model(tmp_path), device="cpu", quantization=Quantization.INT8)
    engine = await asyncio.to_thread(load_engine, options)
    await engine.close()
    assert engine.load_seconds.keys() == PARTS.keys()
