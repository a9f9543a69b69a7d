"""Phases of a load: timed, and what fails in one is a line that names it."""

from pathlib import Path
from typing import Any

import pytest
import torch

from functions.gpu.engine import machine
from functions.gpu.engine.loader import LoadedModel
from functions.gpu.engine.phases import LINE, phase
from functions.gpu.engine.protocol import ModelUnreadable
from functions.gpu.engine.runner import Runner
from tests.unit.gpu.engine.conftest import engine_on

FOLDER = Path("/models/one")


def test_a_phase_is_timed() -> None:
    seconds: dict[str, float] = {}
    with phase("weights", FOLDER, seconds):
        assert seconds == {}
    assert list(seconds) == ["weights"]
    assert seconds["weights"] >= 0


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ModelUnreadable("no such file"), "/models/one: weights: no such file"),
        (RuntimeError("\nout of luck\nand more"), "/models/one: weights: out of luck"),
        (KeyError(), "/models/one: weights: KeyError"),
        (ValueError("x" * 9_999), f"/models/one: weights: {'x' * LINE}"),
    ],
)
def test_what_fails_is_one_line(error: Exception, line: str) -> None:
    seconds: dict[str, float] = {}
    with pytest.raises(ModelUnreadable) as caught, phase("weights", FOLDER, seconds):
        raise error
    assert str(caught.value) == line
    assert seconds == {}


@pytest.mark.parametrize(
    ("owner", "attribute", "name"),
    [(machine, "KvCache", "keys and values"), (Runner, "capture", "graphs"), (Runner, "run", "attention")],
)
def test_a_device_without_enough_memory_is_one_line(
    tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch, owner: Any, attribute: str, name: str
) -> None:
    def exhausted(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nSee the documentation.")

    monkeypatch.setattr(owner, attribute, exhausted)
    with pytest.raises(ModelUnreadable, match=rf"^\.: {name}: [^\n]*CUDA out of memory\. Tried to allocate 2 GiB\.$"):
        engine_on(tiny)
