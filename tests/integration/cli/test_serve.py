"""`penstock serve` as a newcomer runs it: the edge and the GPU process themselves, with a tiny model."""

import os
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import OpenAI
from transformers import LlamaConfig

from tests.e2e.service import Service, serving, wait_for
from tests.integration.cli.command import done, environment, json_of, penstock, refused
from tests.tiny_model import make_tiny_model, make_tokenizer, tiny_sizes


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model with a context long enough for an answer of many seconds."""
    tokenizer = make_tokenizer()
    sizes = {**tiny_sizes(tokenizer), "num_hidden_layers": 8, "max_position_embeddings": 16_384}
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny", config=LlamaConfig(**sizes), tokenizer=tokenizer)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Iterator[Service]:
    """One that runs through several tests, and leaves nothing behind."""
    with serving(tmp_path_factory.mktemp("serve") / "data", "--model", str(model)) as running:
        yield running
    assert running.process.returncode == 0
    assert "Traceback" not in running.output.read_text()
    assert processes_of(running.data) == []


def processes_of(data: Path) -> list[int]:
    """The processes that were started for a data directory, its supervisor aside."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words, settings = (entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()
        except OSError:
            continue
        if b"tethered" in words and f"sqlite:///{data}/".encode() in settings:
            found.append(int(entry.name))
    return found


def answer(service: Service) -> str:
    client = service.client(max_retries=8)
    return str(OpenAI.chat.fget and _ask(client))  # type: ignore[attr-defined]
