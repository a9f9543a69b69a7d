"""Weights read the short way, held against transformers' own: every parameter, every buffer, every logit."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MixtralConfig,
    Qwen3Config,
)

from functions.gpu.engine import weights
from functions.gpu.engine.protocol import ModelUnreadable
from functions.gpu.engine.weights import read_model
from tests.tiny_model import make_tiny_model, make_tokenizer, tiny_sizes

CPU = torch.device("cpu")
PROMPT = torch.arange(40)[None]
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}

Make = Callable[[dict[str, Any]], Any]


def rope(**parameters: Any) -> Make:
    return lambda sizes: LlamaConfig(**sizes, rope_parameters={"rope_theta": 1e4, "factor": 4.0, **parameters})


FAMILIES: dict[str, Make] = {
    "llama": lambda sizes: LlamaConfig(**sizes),
    "llama tied": lambda sizes: LlamaConfig(**sizes | {"tie_word_embeddings": True}),
    "llama3": rope(rope_type="llama3", low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32),
    "linear": rope(rope_type="linear"),
    "yarn": rope(rope_type="yarn", original_max_position_embeddings=64),
    "qwen3": lambda sizes: Qwen3Config(**sizes),
    "qwen3 tied": lambda sizes: Qwen3Config(**sizes | {"tie_word_embeddings": True}),
    "mistral": lambda sizes: MistralConfig(**sizes, sliding_window=16),
    "gemma3": lambda sizes: Gemma3TextConfig(
        **sizes, sliding_window=16, layer_types=["sliding_attention", "full_attention"]
    ),
    "gemma3 tied": lambda sizes: Gemma3TextConfig(**sizes | {"tie_word_embeddings": True}),
}


@pytest.fixture(scope="module", params=FAMILIES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = FAMILIES[request.param](tiny_sizes(make_tokenizer()))
    return make_tiny_model(tmp_path_factory.mktemp("family"), config=config)


def stored_as(folder: Path, copy: Path, dtype: torch.dtype, shard: str = "1GB") -> Path:
    """The model again, its weights in another dtype or in shards."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("*.safetensors"))
    model.save_pretrained(copy, max_shard_size=shard)
    return copy


def read(folder: Path, dtype: Any = torch.float32) -> Any:
    return read_model(folder, AutoConfig.from_pretrained(folder), dtype, CPU)


def tensors(model: Any) -> dict[str, torch.Tensor]:
    names = (*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False))
    return {name: tensor.detach() for name, tensor in names}


def assert_equal(model: Any, reference: Any) -> None:
    """Everything that takes part in an answer is the same, bit for bit."""
    found, expected = tensors(model), tensors(reference)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype, name
        assert torch.equal(found[name], tensor), name
    tied = model.get_input_embeddings().weight is model.get_output_embeddings().weight
    assert tied == (reference.get_input_embeddings().weight is reference.get_output_embeddings().weight)
    assert model.generation_config.to_dict() == reference.generation_config.to_dict()
    assert not model.training
    with torch.inference_mode():
        assert torch.equal(model(PROMPT).logits, reference(PROMPT).logits)


def without_detour(monkeypatch: pytest.MonkeyPatch) -> None:
    def detour(*_: object) -> None:
        raise AssertionError("the weights fit, but were read transformers' way")

    monkeypatch.setattr(weights, "_converted", detour)


@pytest.mark.parametrize("wanted", [None, "float32", "bfloat16"])
@pytest.mark.parametrize("stored", DTYPES)
def test_a_model_is_what_from_pretrained_gives(
    folder: Path, tmp_path: Path, stored: str, wanted: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = stored_as(folder, tmp_path / "model", DTYPES[stored])
    without_detour(monkeypatch)
    reference = AutoModelForCausalLM.from_pretrained(copy, dtype=wanted or "auto")
    model = read(copy, DTYPES[wanted] if wanted else None)
    assert model.dtype == DTYPES[wanted or stored]
    assert_equal(model, reference)


def test_shards_are_one_model(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = stored_as(folder, tmp_path / "model", torch.float32, shard="30KB")
    assert len([*copy.glob("model-*.safetensors")]) > 1
    without_detour(monkeypatch)
    assert_equal(read(copy), AutoModelForCausalLM.from_pretrained(folder))


def rewritten(folder: Path, copy: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> Path:
    shutil.copytree(folder, copy)
    stored = load_file(folder / "model.safetensors")
    change(stored)
    save_file(stored, copy / "model.safetensors", metadata={"format": "pt"})
    return copy


def configured(folder: Path, **values: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.update({HEAD: t[EMBEDDING].clone()}),
        lambda t: t.update({HEAD: t[EMBEDDING] + 1}),
        lambda t: t.update({HEAD: t.pop(EMBEDDING)}),
        lambda t: t.update({"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}),
        lambda t: t.update({name.removeprefix("model."): t.pop(name) for name in [*t]}),
    ],
    ids=["both, equal", "both, different", "only the head", "old frequencies", "without the prefix"],
)
def test_a_tied_model_in_an_unusual_form_is_what_from_pretrained_gives(
    tmp_path: Path, change: Callable[[dict[str, torch.Tensor]], object]
) -> None:
    plain = make_tiny_model(tmp_path / "a", config=FAMILIES["llama tied"](tiny_sizes(make_tokenizer())))
    copy = rewritten(plain, tmp_path / "b", change)
    assert_equal(read(copy), AutoModelForCausalLM.from_pretrained(copy))


def test_experts_are_fused_as_transformers_does(tmp_path: Path) -> None:
    config = MixtralConfig(**tiny_sizes(make_tokenizer()), num_local_experts=4, num_experts_per_tok=2)
    make_tiny_model(tmp_path, config=config)
    assert any("experts.3." in name for name in load_file(tmp_path / "model.safetensors"))
    assert_equal(read(tmp_path), AutoModelForCausalLM.from_pretrained(tmp_path))


def test_a_dtype_that_nothing_states_is_the_weights(tiny_folder: Path, tmp_path: Path) -> None:
    copy = stored_as(tiny_folder, tmp_path / "model", torch.bfloat16)
    configured(copy, dtype=None)
    assert read(copy, None).dtype == torch.bfloat16


def test_weights_of_the_wanted_dtype_stay_in_the_file(tiny_folder: Path, tmp_path: Path) -> None:
    """They are mapped, not copied; unlinking the file takes nothing away."""
    copy = shutil.copytree(tiny_folder, tmp_path / "model")
    model = read(copy)
    assert str(copy / "model.safetensors") in Path("/proc/self/maps").read_text()
    shutil.rmtree(copy)
    assert_equal(model, AutoModelForCausalLM.from_pretrained(tiny_folder))


def test_a_misshapen_weight_of_another_layout_is_named(tmp_path: Path) -> None:
    config = MixtralConfig(**tiny_sizes(make_tokenizer()), num_local_experts=4, num_experts_per_tok=2)
    plain = make_tiny_model(tmp_path / "a", config=config)
    copy = rewritten(plain, tmp_path / "b", lambda t: t.update({EMBEDDING: torch.zeros(3, 3)}))
    with pytest.raises(ModelUnreadable, match=f"{EMBEDDING} is of another shape"):
        read(copy)


def test_a_tied_weight_that_is_nowhere_is_named(tmp_path: Path) -> None:
    plain = make_tiny_model(tmp_path / "a", config=FAMILIES["llama tied"](tiny_sizes(make_tokenizer())))
    copy = rewritten(plain, tmp_path / "b", lambda t: t.pop(EMBEDDING))
    with pytest.raises(ModelUnreadable, match=r"lm_head\.weight and 1 more are missing"):
        read(copy)


def test_what_transformers_keeps_in_float32_is_kept(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LlamaForCausalLM, "_keep_in_fp32_modules_strict", ["input_layernorm"])
    model = read(tiny_folder, torch.bfloat16)
    assert model.model.layers[0].input_layernorm.weight.dtype == torch.float32
    reference = AutoModelForCausalLM.from_pretrained(tiny_folder, dtype=torch.bfloat16)
    assert {n: t.dtype for n, t in tensors(model).items()} == {n: t.dtype for n, t in tensors(reference).items()}


def test_a_buffer_that_nobody_computes_is_named(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as a new kind of embedding that transformers forgot to initialize: nothing random may remain."""
    reference = AutoModelForCausalLM.from_pretrained(tiny_folder)
    monkeypatch.setattr(type(reference), "initialize_weights", lambda _: None)
    with pytest.raises(ModelUnreadable, match=r"rotary_emb\.inv_freq and 1 more are in no checkpoint"):
        read(tiny_folder)
