"""Two services: one with the demo model, and one whose answers take long enough to be interrupted."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from transformers import LlamaConfig

from tests.e2e.service import Service, serving
from tests.tiny_model import make_tiny_model, make_tokenizer, tiny_sizes

CHECKPOINT_TOKENS = 8
LEASE_SECONDS = 4


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Penstock with the demo model, as a newcomer has it."""
    with serving(tmp_path_factory.mktemp("demo") / "data") as running:
        yield running


@pytest.fixture(scope="session")
def endless_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model that is deep and has a long context: an answer goes on for many seconds."""
    tokenizer = make_tokenizer()
    sizes = {**tiny_sizes(tokenizer), "num_hidden_layers": 12, "max_position_embeddings": 16_384}
    return make_tiny_model(
        tmp_path_factory.mktemp("endless"), config=LlamaConfig(**sizes), tokenizer=tokenizer, endless=True
    )


@pytest.fixture(scope="session")
def endless(tmp_path_factory: pytest.TempPathFactory, endless_model: Path) -> Iterator[Service]:
    """Penstock with the endless model, frequent checkpoints and short leases."""
    with serving(
        tmp_path_factory.mktemp("endless") / "data",
        "--model",
        str(endless_model),
        PENSTOCK_CHECKPOINT_TOKENS=str(CHECKPOINT_TOKENS),
        PENSTOCK_LEASE_S=str(LEASE_SECONDS),
        PENSTOCK_CHECKPOINT_EVERY_S="1",
    ) as running:
        yield running
