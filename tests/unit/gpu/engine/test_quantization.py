"""Weights in 8 bits: how far off they are, what they weigh, and that the model still speaks."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig

from functions.gpu.engine.loader import LoadedModel, load
from functions.gpu.engine.options import EngineOptions, Quantization
from functions.gpu.engine.protocol import ModelUnreadable
from functions.gpu.engine.quantization import quantize
from tests.tiny_model import make_tiny_model, make_tokenizer, tiny_sizes

PROMPT = torch.arange(20)[None]


def load_both(folder: Path, dtype: str = "float32") -> tuple[LoadedModel, LoadedModel]:
    plain = load(EngineOptions(folder, dtype=dtype, device="cpu"))
    return plain, load(EngineOptions(folder, dtype=dtype, device="cpu", quantization=Quantization.INT8))


def linear_layers(model: Any) -> dict[str, Any]:
    return {name: module for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}


def size(weight: Any) -> int:
    """Bytes of a weight, with its scales."""
    parts = [weight] if not hasattr(weight, "qdata") else [weight.qdata, weight.scale]
    return sum(part.numel() * part.element_size() for part in parts)


def logits(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        output: torch.Tensor = model(PROMPT).logits
        return output


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows long enough that their scales weigh little."""
    sizes = tiny_sizes(make_tokenizer()) | {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 1}
    return make_tiny_model(tmp_path_factory.mktemp("wide"), config=LlamaConfig(**sizes))


def test_each_weight_is_off_by_half_a_scale_at_most(tiny_folder: Path) -> None:
    plain, small = load_both(tiny_folder)
    for name, layer in linear_layers(plain.model).items():
        weight = linear_layers(small.model)[name].weight
        assert weight.qdata.dtype == torch.int8
        assert weight.scale.shape == (len(layer.weight), 1)
        assert torch.allclose(weight.scale.flatten(), layer.weight.abs().amax(1) / 127, rtol=0.01)
        assert ((weight.dequantize() - layer.weight).abs() <= weight.scale * 0.5001).all()


def test_answers_are_those_of_the_rounded_weights(tiny_folder: Path) -> None:
    """Rounding the weights is all that happens: activations are what they were."""
    plain, small = load_both(tiny_folder)
    for name, layer in linear_layers(small.model).items():
        linear_layers(plain.model)[name].weight.data = layer.weight.dequantize()
    torch.testing.assert_close(logits(small.model), logits(plain.model), rtol=1e-4, atol=1e-4)
    asked = {"max_new_tokens": 20, "do_sample": False, "eos_token_id": None}
    assert torch.equal(small.model.generate(PROMPT, **asked), plain.model.generate(PROMPT, **asked))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_logits_are_close(tiny_folder: Path, dtype: str) -> None:
    """A rounding error is spread evenly over a scale, so 1/sqrt(12) of it, and a scale is 1/127 of a row's largest
    weight, some three times the usual one: a layer is off by 3 / 127 / sqrt(12) = 0.7 %. If the fifteen layers of
    this model all err in the same direction, that is 10 %."""
    plain, small = load_both(tiny_folder, dtype)
    expected = logits(plain.model).float()
    off = (logits(small.model).float() - expected).norm() / expected.norm()
    assert 0 < off < 0.1


@pytest.mark.parametrize(("dtype", "least", "most"), [("float32", 3.5, 4), ("bfloat16", 1.75, 2)])
def test_linear_weights_need_a_byte_each(wide: Path, dtype: str, least: float, most: float) -> None:
    plain, small = load_both(wide, dtype)
    before, after = (sum(size(layer.weight) for layer in linear_layers(m.model).values()) for m in (plain, small))
    assert least < before / after < most
    assert small.dtype == plain.dtype
    assert small.vocabulary_size == plain.vocabulary_size


@pytest.mark.parametrize("tied", [True, False])
def test_the_embedding_stays_and_what_is_tied_to_it(tmp_path: Path, tied: bool) -> None:
    config = LlamaConfig(**tiny_sizes(make_tokenizer()) | {"tie_word_embeddings": tied})
    _, small = load_both(make_tiny_model(tmp_path, config=config))
    embedding, head = small.model.get_input_embeddings().weight, small.model.get_output_embeddings().weight
    assert not hasattr(embedding, "qdata")
    assert (head is embedding) == tied
    assert hasattr(head, "qdata") != tied


def test_overflowing_sums_are_refused(tiny_folder: Path) -> None:
    with pytest.raises(ModelUnreadable, match="quantization: int8 weights overflow in float16"):
        load_both(tiny_folder, "float16")


def test_weights_that_are_quantized_already_are_refused(tiny_folder: Path) -> None:
    model = load(EngineOptions(tiny_folder, device="cpu")).model
    model.config.quantization_config = {"quant_method": "fp8"}
    with pytest.raises(ModelUnreadable, match="quantized already"):
        quantize(model, torch.device("cpu"))


def test_a_fresh_process_is_silent_and_says_how_long_it_took(tiny_folder: Path) -> None:
    """In a process of its own, because torchao writes to standard error where it is imported first."""
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from functions.gpu.engine import EngineOptions, Quantization, load_engine\n"
        "engine = load_engine(EngineOptions(Path(sys.argv[1]), device='cpu', quantization=Quantization.INT8))\n"
        "assert engine.load_seconds['quantization'] > 0\n"
    )
    done = subprocess.run([sys.executable, "-c", program, tiny_folder], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
