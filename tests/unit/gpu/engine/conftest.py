"""A tiny model for the session, and an engine on it for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from functions.gpu.engine.engine import SequentialEngine
from functions.gpu.engine.loader import LoadedModel, load
from functions.gpu.engine.options import EngineOptions
from tests.tiny_model import make_tiny_model

DEMO_MODEL = Path(__file__).parents[4] / "models" / "demo"
QUEUE_LIMIT = 3


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny_model"))


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path) -> LoadedModel:
    return load(EngineOptions(tiny_folder, dtype="float32", device="cpu"))


@pytest.fixture
async def engine(tiny: LoadedModel) -> AsyncIterator[SequentialEngine]:
    engine = SequentialEngine(tiny, queue_limit=QUEUE_LIMIT)
    yield engine
    await engine.close()
