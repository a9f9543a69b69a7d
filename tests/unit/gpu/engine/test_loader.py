"""Folders to models: what they say of themselves, and one clear line for each thing that can be wrong."""

import gc
import json
import shutil
import socket
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, Gemma3TextConfig

from functions.gpu.engine.loader import LoadedModel, load
from functions.gpu.engine.options import EngineOptions
from functions.gpu.engine.protocol import InvalidPrompt, ModelUnreadable
from functions.gpu.engine.text_tokenizer import TextTokenizer
from functions.gpu.engine.tokenizer import ChatTokenizer
from tests.tiny_model import CONTEXT_LENGTH, make_tiny_model, make_tokenizer, tiny_sizes
from tests.unit.gpu.engine.conftest import DEMO_MODEL

UP = "model.layers.1.mlp.up_proj.weight"
BIAS = "model.layers.1.mlp.up_proj.bias"  # there is none without mlp_bias in the configuration

FACTORS = [1.0 + n for n in range(4)]  # one for each two numbers of a head
ROPE = {
    "dynamic": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0},
    "longrope": {
        "rope_type": "longrope",
        "rope_theta": 1e4,
        "original_max_position_embeddings": 64,
        "short_factor": FACTORS,
        "long_factor": [2 * factor for factor in FACTORS],
    },
}


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
        (write("chat_template.jinja", "{% for %}"), "tokenizer: "),
        (remove("model.safetensors"), r"weights: no model\.safetensors and no model\.safetensors\.index\.json$"),
        (write("model.safetensors", "junk"), "weights: Error while deserializing"),
        (cut_short, "weights: .*incomplete metadata"),
        (weights(lambda tensors: tensors.pop(UP)), f"weights: {UP} is missing"),
        (weights(dict.clear), r"weights: .* and \d+ more are missing"),
        (weights(lambda t: t.update({UP: torch.zeros(7)})), f"weights: {UP} is of another shape"),
        (weights(lambda t: t.update({BIAS: torch.zeros(64)})), f"weights: {BIAS} is in no place of the model"),
        (write("generation_config.json", "{"), "weights: .*not a valid JSON"),
    ],
)
def test_what_is_wrong_with_a_folder_is_one_line(
    tiny_folder: Path, tmp_path: Path, change: Callable[[Path], None], reason: str
) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    change(folder)
    with pytest.raises(ModelUnreadable, match=reason) as caught:
        load(EngineOptions(folder, dtype="auto", device="cpu"))
    assert str(caught.value).startswith(f"{folder}: ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < len(str(folder)) + 300


def test_pickled_weights_are_not_read(tiny_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelUnreadable, match=r"no model\.safetensors.*; pickled weights can run code"):
        load(EngineOptions(folder, dtype="auto", device="cpu"))


def test_a_model_without_a_chat_template_loads(tiny_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    (folder / "chat_template.jinja").unlink()
    loaded = load(EngineOptions(folder, device="cpu"))
    assert TextTokenizer(loaded.tokenizer.backend_tokenizer).encode("edge")
    with pytest.raises(InvalidPrompt, match="this model has no chat template"):
        ChatTokenizer(loaded.tokenizer).encode([{"role": "user", "content": "Hi"}])


@pytest.mark.parametrize("kind", ["dynamic", "longrope"])
def test_frequencies_that_a_neighbour_could_change_are_refused(tiny_folder: Path, tmp_path: Path, kind: str) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    configure(rope_parameters=ROPE[kind])(folder)
    with pytest.raises(ModelUnreadable, match=f"config: rope type '{kind}' changes with the longest sequence"):
        load(EngineOptions(folder, device="cpu"))


def test_longrope_loads_within_its_original_length(tiny_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    configure(rope_parameters=ROPE["longrope"])(folder)
    with pytest.raises(ModelUnreadable, match="a context_length of at most 64 makes this model loadable"):
        load(EngineOptions(folder, device="cpu", context_length=65))
    loaded = load(EngineOptions(folder, device="cpu", context_length=64))
    one, two = torch.arange(20)[None], torch.arange(64)[None]
    with torch.inference_mode():
        alone = loaded.model(one).logits
        loaded.model(two)
        assert torch.equal(loaded.model(one).logits, alone)


def test_a_kind_of_layer_with_such_frequencies_is_found(tmp_path: Path) -> None:
    rope = {"full_attention": ROPE["dynamic"], "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}}
    make_tiny_model(tmp_path, config=Gemma3TextConfig(**tiny_sizes(make_tokenizer())))
    configure(rope_parameters=rope)(tmp_path)
    with pytest.raises(ModelUnreadable, match="rope type 'dynamic'"):
        load(EngineOptions(tmp_path, device="cpu"))


def test_a_model_that_cannot_generate_is_refused(tmp_path: Path) -> None:
    config = BertConfig(vocab_size=400, hidden_size=8, num_hidden_layers=1, num_attention_heads=1)
    make_tiny_model(tmp_path, config=config)
    with pytest.raises(ModelUnreadable, match=r"first step: |keeps no key-value cache"):
        load(EngineOptions(tmp_path, dtype="auto", device="cpu"))


@pytest.mark.parametrize("dtype", ["int8", "float64", ""])
def test_an_unknown_dtype_is_refused(tiny_folder: Path, dtype: str) -> None:
    with pytest.raises(ModelUnreadable, match="is none of auto, float32, bfloat16, float16"):
        load(EngineOptions(tiny_folder, dtype=dtype, device="cpu"))


def test_an_unknown_device_is_refused(tiny_folder: Path) -> None:
    with pytest.raises(ModelUnreadable, match="config: device 'abacus' is none that torch knows"):
        load(EngineOptions(tiny_folder, dtype="auto", device="abacus"))


def test_the_context_length_is_the_smaller_of_the_models_and_the_wanted(tiny: LoadedModel, tiny_folder: Path) -> None:
    assert tiny.context_length == CONTEXT_LENGTH
    assert load(EngineOptions(tiny_folder, dtype="auto", context_length=100)).context_length == 100
    assert load(EngineOptions(tiny_folder, dtype="auto", context_length=10**6)).context_length == CONTEXT_LENGTH


def test_a_useless_context_length_is_refused(tiny_folder: Path) -> None:
    with pytest.raises(ModelUnreadable, match=r"no usable context length \(configured: 256, asked for: 0\)"):
        load(EngineOptions(tiny_folder, dtype="auto", context_length=0))


def test_every_end_of_sequence_token_counts(tiny_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    configure("generation_config.json", eos_token_id=[5, 6])(folder)
    configure("config.json", eos_token_id=7)(folder)
    assert load(EngineOptions(folder, dtype="auto")).end_ids == {5, 6, 7, make_tokenizer().eos_token_id}


@pytest.mark.parametrize(("dtype", "loaded"), [("auto", torch.float32), ("bfloat16", torch.bfloat16)])
def test_dtypes_on_the_cpu(tiny_folder: Path, dtype: str, loaded: torch.dtype) -> None:
    assert load(EngineOptions(tiny_folder, dtype=dtype, device="cpu")).model.dtype == loaded


def test_loading_is_silent_offline_and_timed(
    tiny_folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object) -> None:
        raise AssertionError("the loader reached for the network")

    monkeypatch.setattr(socket, "getaddrinfo", unreachable)
    monkeypatch.setattr(socket.socket, "connect", unreachable)
    loaded = load(EngineOptions(tiny_folder, dtype="auto", threads=torch.get_num_threads()))
    assert (loaded.device, loaded.dtype) == (torch.device("cpu"), torch.float32)
    assert list(loaded.load_seconds) == ["config", "tokenizer", "weights", "device", "first step"]
    assert all(seconds >= 0 for seconds in loaded.load_seconds.values())
    assert capfd.readouterr() == ("", "")


def test_the_demo_model_loads() -> None:
    loaded = load(EngineOptions(DEMO_MODEL, dtype="auto", device="cpu"))
    assert loaded.vocabulary_size >= len(loaded.tokenizer)
    assert loaded.tokenizer.eos_token_id in loaded.end_ids


def test_a_model_that_was_let_go_of_is_freed_and_loads_again(tiny_folder: Path) -> None:
    def logits_and_model() -> tuple[torch.Tensor, weakref.ref[Any]]:
        loaded = load(EngineOptions(tiny_folder, device="cpu"))
        with torch.inference_mode():
            return loaded.model(torch.arange(9)[None]).logits, weakref.ref(loaded.model)

    first, model = logits_and_model()
    gc.collect()
    assert model() is None
    again, _ = logits_and_model()
    assert torch.equal(again, first)
