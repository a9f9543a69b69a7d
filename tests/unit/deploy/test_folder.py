"""A folder that weights are sent from: which of its files."""

from hashlib import sha256
from pathlib import Path

import pytest

from penstock.deploy import folder as folders
from penstock.deploy.folder import described, wanted_in
from penstock.weights import WeightFile, WeightsError
from tests.unit.deploy.table import folder_of_a_model


def test_only_what_a_model_is_loaded_from(tmp_path: Path) -> None:
    folder = folder_of_a_model(tmp_path / "demo")
    for name in ("tokenizer.model", "merges.txt", "chat_template.jinja", "tokenizer.json"):
        (folder / name).write_text("x")
    for name in ("README.md", "pytorch_model.bin", "consolidated.safetensors", "modeling.py"):
        (folder / name).write_text("x")
    (folder / "onnx.json").mkdir()
    (folder / "linked.json").symlink_to(folder / "config.json")
    assert [file.name for file in wanted_in(folder)] == [
        "chat_template.jinja",
        "config.json",
        "linked.json",
        "merges.txt",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer.model",
    ]


def test_what_is_no_folder_of_a_model_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WeightsError, match="no such folder"):
        wanted_in(tmp_path / "nothing")
    with pytest.raises(WeightsError, match=r"no config\.json"):
        wanted_in(tmp_path)
    monkeypatch.setattr(folders, "MOST_FILES", 1)
    with pytest.raises(WeightsError, match="more than 1 files"):
        wanted_in(folder_of_a_model(tmp_path / "demo"))


def test_a_file_is_described_by_its_content(tmp_path: Path) -> None:
    content = bytes(range(256)) * 50_000
    (tmp_path / "model.safetensors").write_bytes(content)
    assert described(tmp_path / "model.safetensors") == WeightFile(
        name="model.safetensors", size=len(content), sha256=sha256(content).hexdigest()
    )
