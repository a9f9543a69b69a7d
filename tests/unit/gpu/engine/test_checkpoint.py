"""Which files hold a model's weights, and what is said where they are not there."""

import json
from pathlib import Path
from typing import Any

import pytest

from functions.gpu.engine.checkpoint import INDEX, WHOLE, weight_files
from functions.gpu.engine.protocol import ModelUnreadable

SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


def write_index(folder: Path, *files: Any) -> None:
    (folder / INDEX).write_text(json.dumps({"weight_map": {f"weight {n}": file for n, file in enumerate(files)}}))


def test_one_file_comes_before_an_index(tmp_path: Path) -> None:
    write_index(tmp_path, *SHARDS)
    (tmp_path / WHOLE).touch()
    assert weight_files(tmp_path) == (tmp_path / WHOLE,)


def test_each_shard_of_an_index_comes_once(tmp_path: Path) -> None:
    write_index(tmp_path, SHARDS[1], *SHARDS)
    for name in SHARDS:
        (tmp_path / name).touch()
    assert weight_files(tmp_path) == tuple(tmp_path / name for name in SHARDS)


def test_a_shard_that_is_not_there_is_named(tmp_path: Path) -> None:
    write_index(tmp_path, *SHARDS)
    (tmp_path / SHARDS[0]).touch()
    with pytest.raises(ModelUnreadable, match=f"^{SHARDS[1]} is missing: 1 of 2 files"):
        weight_files(tmp_path)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"weight_map": []}', '{"weight_map": {}}', '{"weight_map": {"a": 1}}']
)
def test_an_index_of_another_form_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / INDEX).write_text(text)
    with pytest.raises(ModelUnreadable, match=r"^model\.safetensors\.index\.json (is no JSON|names 1)"):
        weight_files(tmp_path)


@pytest.mark.parametrize("name", ["../other.safetensors", "/etc/passwd", "a/b.safetensors", "model.bin", ".."])
def test_an_index_cannot_lead_out_of_the_folder(tmp_path: Path, name: str) -> None:
    write_index(tmp_path, name)
    with pytest.raises(ModelUnreadable, match="which is no safetensors file of the folder"):
        weight_files(tmp_path)


@pytest.mark.parametrize(("found", "hint"), [("pytorch_model.bin", "; pickled weights"), ("README.md", "$")])
def test_no_weights_are_said_with_the_reason(tmp_path: Path, found: str, hint: str) -> None:
    (tmp_path / found).touch()
    with pytest.raises(ModelUnreadable, match=rf"^no model\.safetensors and no model\.safetensors\.index\.json{hint}"):
        weight_files(tmp_path)
