"""What `penstock serve` prints: examples that the served model can answer."""

from pathlib import Path

import pytest
from rich.console import Console

from penstock.cli.data import DataDirectory
from penstock.cli.serving.first_key import FirstKey
from penstock.cli.serving.model import Choice
from penstock.cli.serving.welcome import Welcome
from penstock.models import ServedModel

FREE = {"effective": "1970-01-01", "prompt": 0, "cached_prompt": 0, "completion": 0}


def shown(folder: Path, *, chat: bool) -> str:
    """What is printed for a model that chats or does not."""
    model = ServedModel.model_validate(
        {"name": "m", "source": str(folder), "context_length": 64, "chat": chat, "prices": [FREE]}
    )
    console = Console(record=True, width=200)
    data = DataDirectory(folder)
    Welcome("http://127.0.0.1:1/v1", Choice(model, listed=True), FirstKey("k", kept=True), data, "sqlite:///x").show(
        console
    )
    return console.export_text()


@pytest.mark.parametrize(
    ("chat", "there", "absent"),
    [
        (True, ("/v1/chat/completions", "client.chat.completions", " chat --url", '"messages"'), ('"prompt"',)),
        (False, ("/v1/completions", "client.completions", '"prompt"'), ("chat",)),
    ],
)
def test_the_examples_are_of_a_route_that_the_model_has(
    tmp_path: Path, chat: bool, there: tuple[str, ...], absent: tuple[str, ...]
) -> None:
    text = shown(tmp_path, chat=chat).replace(str(tmp_path), "")
    assert all(part in text for part in there)
    assert not any(part in text for part in absent)
