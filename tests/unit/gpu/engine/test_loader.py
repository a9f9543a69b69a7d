"""Folders to models: what they say of themselves, and one clear line for each thing that can be wrong."""

import json
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig

from functions.gpu.engine.loader import LoadedModel, load
from functions.gpu.engine.protocol import ModelUnreadable
from tests.tiny_model import CONTEXT_LENGTH, make_tiny_model, make_tokenizer
from tests.unit.gpu.engine.conftest import DEMO_MODEL

UP = "model.layers.1.mlp.up_proj.weight"


def write(name: str, text: str) -> Callable[[Path], None]:
    def rewrite(folder: Path) -> None:
        (folder / name).write_text(text)

    return rewrite


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def configure(name: str = "config.json", **values: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        settings = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(settings | values))

    return change


def weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def rewrite(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    return rewrite


def cut_short(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (shutil.rmtree, "no such folder"),
        (remove("config.json"), "no config.json"),
        (write("config.json", "{"), "config: .*not a valid JSON"),
        (write("config.json", "[]"), "config: Unrecognized model"),
        (configure(model_type="nonesuch"), "config: .*`nonesuch`"),
        (configure(model_type="nonesuch", auto_map={"AutoConfig": "x.Y"}), "config: .*custom code"),
        (configure(model_type="clip"), "Unrecognized configuration class|no usable context length"),
        (configure(num_attention_heads="four"), "config: .*num_attention_heads"),
        (remove("tokenizer.json"), "tokenizer: Couldn't instantiate"),
        (write("tokenizer.json", "{"), "tokenizer: Expecting property name"),
        (remove("chat_template.jinja"), "tokenizer: has no chat template"),
        (write("chat_template.jinja", "{% for %}"), "tokenizer: "),
        (remove("model.safetensors"), "weights: .*no file named model.safetensors"),
        (write("model.safetensors", "junk"), "weights: Error while deserializing"),
        (cut_short, "weights: .*incomplete metadata"),
        (weights(lambda tensors: tensors.pop(UP)), f"weights: {UP} is missing"),
        (weights(dict.clear), r"weights: .* and \d+ more are missing"),
        (weights(lambda t: t.update({UP: torch.zeros(7)})), f"weights: {UP} is of another shape"),
    ],
)
def test_what_is_wrong_with_a_folder_is_one_line(
    tiny_folder: Path, tmp_path: Path, change: Callable[[Path], None], reason: str
) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    change(folder)
    with pytest.raises(ModelUnreadable, match=reason) as caught:
        load(folder, dtype="auto", device="cpu")
    assert str(caught.value).startswith(f"{folder}: ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < len(str(folder)) + 300


def test_pickled_weights_are_not_read(tiny_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelUnreadable, match=r"no file named model\.safetensors"):
        load(folder, dtype="auto", device="cpu")


def test_a_model_that_cannot_generate_is_refused(tmp_path: Path) -> None:
    config = BertConfig(vocab_size=400, hidden_size=8, num_hidden_layers=1, num_attention_heads=1)
    make_tiny_model(tmp_path, config=config)
    with pytest.raises(ModelUnreadable, match=r"first step: |keeps no key-value cache"):
        load(tmp_path, dtype="auto", device="cpu")


@pytest.mark.parametrize("dtype", ["int8", "float64", ""])
def test_an_unknown_dtype_is_refused(tiny_folder: Path, dtype: str) -> None:
    with pytest.raises(ModelUnreadable, match="is none of auto, float32, bfloat16, float16"):
        load(tiny_folder, dtype=dtype, device="cpu")


def test_an_unknown_device_is_refused(tiny_folder: Path) -> None:
    with pytest.raises(ModelUnreadable, match="abacus"):
        load(tiny_folder, dtype="auto", device="abacus")


def test_the_context_length_is_the_smaller_of_the_models_and_the_wanted(tiny: LoadedModel, tiny_folder: Path) -> None:
    assert tiny.context_length == CONTEXT_LENGTH
    assert load(tiny_folder, dtype="auto", context_length=100).context_length == 100
    assert load(tiny_folder, dtype="auto", context_length=10**6).context_length == CONTEXT_LENGTH


def test_a_useless_context_length_is_refused(tiny_folder: Path) -> None:
    with pytest.raises(ModelUnreadable, match=r"no usable context length \(configured: 256, asked for: 0\)"):
        load(tiny_folder, dtype="auto", context_length=0)


def test_every_end_of_sequence_token_counts(tiny_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    configure("generation_config.json", eos_token_id=[5, 6])(folder)
    configure("config.json", eos_token_id=7)(folder)
    assert load(folder, dtype="auto").end_ids == {5, 6, 7, make_tokenizer().eos_token_id}


@pytest.mark.parametrize(("dtype", "loaded"), [("auto", torch.float32), ("bfloat16", torch.bfloat16)])
def test_dtypes_on_the_cpu(tiny_folder: Path, dtype: str, loaded: torch.dtype) -> None:
    assert load(tiny_folder, dtype=dtype, device="cpu").model.dtype == loaded


def test_loading_is_silent_offline_and_timed(
    tiny_folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object) -> None:
        raise AssertionError("the loader reached for the network")

    monkeypatch.setattr(socket, "getaddrinfo", unreachable)
    monkeypatch.setattr(socket.socket, "connect", unreachable)
    loaded = load(tiny_folder, dtype="auto", threads=torch.get_num_threads())
    assert list(loaded.load_seconds) == ["config", "tokenizer", "weights", "first step"]
    assert all(seconds >= 0 for seconds in loaded.load_seconds.values())
    assert capfd.readouterr() == ("", "")


def test_the_demo_model_loads() -> None:
    loaded = load(DEMO_MODEL, dtype="auto", device="cpu")
    assert loaded.vocabulary_size >= len(loaded.tokenizer)
    assert loaded.tokenizer.eos_token_id in loaded.end_ids
