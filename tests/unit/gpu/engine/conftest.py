"""Tiny models for the session, and engines on copies of them for each test."""

import copy
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from functions.gpu.engine.engine import ContinuousEngine
from functions.gpu.engine.kv_cache import Shape
from functions.gpu.engine.loader import LoadedModel, load
from functions.gpu.engine.options import EngineOptions
from tests.tiny_model import make_tiny_model
from tests.unit.gpu.engine.gate import Gate

DEMO_MODEL = Path(__file__).parents[4] / "models" / "demo"
PAGE = 4  # tokens: small, so that every answer crosses many borders

MakeEngine = Callable[..., ContinuousEngine]
"""An engine on a copy of a LoadedModel, with EngineOptions by name; closed at the end of the test."""
MakeGated = Callable[..., tuple[ContinuousEngine, Gate]]
"""The same behind a gate; nothing ends its answers."""


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny_model"))


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path) -> LoadedModel:
    return load(EngineOptions(tiny_folder, dtype="float32", device="cpu"))


@pytest.fixture(scope="session")
def exact(tiny: LoadedModel) -> LoadedModel:
    """The tiny model in float64.

    In float32 a neighbour may change the last bits of a row's logits, and so, once in a hundred thousand
    times, a token that is sampled at the border of two. Here it may not.
    """
    return replace(tiny, model=copy.deepcopy(tiny.model).double(), dtype=torch.float64)


def kv_bytes(loaded: LoadedModel, pages: int, page_tokens: int = PAGE) -> int:
    """The memory of so many pages."""
    return pages * Shape.of(loaded.model.config, page_tokens, loaded.dtype).page_bytes


def engine_on(loaded: LoadedModel, **options: Any) -> tuple[ContinuousEngine, Any]:
    """An engine on a copy of a loaded model, and the copy."""
    model = copy.deepcopy(loaded.model)
    bounds = EngineOptions(Path(), **{"page_tokens": PAGE, **options})
    return ContinuousEngine(replace(loaded, model=model, load_seconds={}), bounds), model


@pytest.fixture
async def make_engine() -> AsyncIterator[MakeEngine]:
    engines: list[ContinuousEngine] = []

    def make(loaded: LoadedModel, **options: Any) -> ContinuousEngine:
        engine, _ = engine_on(loaded, **options)
        engines.append(engine)
        return engine

    yield make
    for engine in engines:
        await engine.close()


@pytest.fixture
async def make_gated() -> AsyncIterator[MakeGated]:
    made: list[tuple[ContinuousEngine, Gate]] = []

    def make(loaded: LoadedModel, **options: Any) -> tuple[ContinuousEngine, Gate]:
        engine, model = engine_on(replace(loaded, end_ids=frozenset()), **options)
        made.append((engine, Gate(model)))
        return made[-1]

    yield make
    for engine, gate in made:
        gate.open()
        await engine.close()


@pytest.fixture
def engine(tiny: LoadedModel, make_engine: MakeEngine) -> ContinuousEngine:
    return make_engine(tiny)
