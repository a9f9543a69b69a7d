"""A folder of a transformers causal language model to a LoadedModel.

Promises to read nothing but the folder: no network, no code from it, no pickled weights. Whatever is wrong
with it becomes one ModelUnreadable of one line. Nothing is written to standard output or error, and nothing
here holds on to a model that was let go of.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoTokenizer
from transformers.utils import logging as transformers_logging

from functions.gpu.engine.detokenizer import TokenText
from functions.gpu.engine.options import EngineOptions, Quantization
from functions.gpu.engine.phases import phase
from functions.gpu.engine.protocol import ModelUnreadable
from functions.gpu.engine.quantization import quantize
from functions.gpu.engine.rope import check_rope
from functions.gpu.engine.weights import LOCAL, read_model

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that has made one step already, and everything needed to talk to it."""

    model: Any
    tokenizer: Any
    vocabulary: TokenText
    vocabulary_size: int  # rows of the embedding: the token ids the model takes
    context_length: int
    end_ids: frozenset[int]
    device: Any  # a torch.device
    dtype: Any  # a torch.dtype: of the weights, or of what 8-bit weights stand for
    load_seconds: dict[str, float] = field(repr=False)  # by phase


@dataclass(frozen=True, slots=True)
class ReadModel:
    """A folder that was read and checked as far as that needs no device; its weights are on `at`."""

    model: Any
    tokenizer: Any
    vocabulary: TokenText
    vocabulary_size: int  # as the configuration has it
    context_length: int
    end_ids: frozenset[int]
    at: Any  # a torch.device
    load_seconds: dict[str, float] = field(repr=False)  # by phase


def load(options: EngineOptions) -> LoadedModel:
    """Load a model for generation, its weights straight to the device. Raises ModelUnreadable."""
    return place(read(options), options)


def read(options: EngineOptions, *, early: bool = False) -> ReadModel:
    """Read a model's folder, its weights to the device. Raises ModelUnreadable.

    `early`, where the device may still have to come, they are all read into main memory, and made 8-bit there:
    memory that is kept, and woken elsewhere, has no use for files, and half the weights are copied in half the time.
    """
    _quiet()
    folder, in_8_bits = options.folder, options.quantization is Quantization.INT8
    seconds: dict[str, float] = {}
    with phase("config", folder, seconds):
        if options.threads is not None:
            torch.set_num_threads(options.threads)
        at = torch.device("cpu") if early else _device(options)
        dtype = _dtype(options.dtype, _device_name(options))
        config = _read_config(folder)
        length = _context_length(config, options.context_length)
        check_rope(config, length)
    with phase("tokenizer", folder, seconds):
        tokenizer = _read_tokenizer(folder)
    with phase("weights", folder, seconds):
        model = read_model(folder, config, dtype, torch.device("cpu") if in_8_bits else at)
        if early:
            _take_in(model)
    if in_8_bits:
        with phase("quantization", folder, seconds):
            quantize(model, at)
    return ReadModel(
        model=model,
        tokenizer=tokenizer,
        vocabulary=TokenText(tokenizer.backend_tokenizer),
        vocabulary_size=int(config.get_text_config().vocab_size),
        context_length=length,
        end_ids=_end_ids(model, tokenizer),
        at=at,
        load_seconds=seconds,
    )


def place(read: ReadModel, options: EngineOptions) -> LoadedModel:
    """A model that was read, on its device, and tried there. Raises ModelUnreadable."""
    seconds, folder = read.load_seconds, options.folder
    with phase("device", folder, seconds):
        device = _device(options)
        if device != read.at:
            read.model.to(device)
    with phase("first step", folder, seconds):
        _try_step(read.model, read.vocabulary_size)
    return LoadedModel(
        model=read.model,
        tokenizer=read.tokenizer,
        vocabulary=read.vocabulary,
        vocabulary_size=read.vocabulary_size,
        context_length=read.context_length,
        end_ids=read.end_ids,
        device=device,
        dtype=read.model.dtype,
        load_seconds=seconds,
    )


def _quiet() -> None:
    """Our logs are JSON; a library's warnings and progress bars would break them."""
    transformers_logging.set_verbosity(transformers_logging.CRITICAL)
    transformers_logging.disable_progress_bar()


def _read_config(folder: Path) -> Any:
    for name in ("", "config.json"):
        if not (folder / name).exists():
            raise ModelUnreadable(f"no {name or 'such folder'}")
    return AutoConfig.from_pretrained(folder, **LOCAL)


def _context_length(config: Any, wanted: int | None) -> int:
    """The model's own length, or the smaller one that was asked for."""
    own = getattr(config.get_text_config(), "max_position_embeddings", None)
    lengths = [length for length in (own, wanted) if length is not None]
    if not lengths or min(lengths) < 2:
        raise ModelUnreadable(f"no usable context length (configured: {own}, asked for: {wanted})")
    return min(lengths)


def _read_tokenizer(folder: Path) -> Any:
    tokenizer = AutoTokenizer.from_pretrained(folder, **LOCAL)
    if not tokenizer.is_fast:
        raise ModelUnreadable("needs one with a tokenizer.json")
    tokenizer.backend_tokenizer.no_truncation()  # a prompt is refused, never cut
    tokenizer.backend_tokenizer.no_padding()
    if tokenizer.chat_template is not None:  # base models and embedding models have none
        tokenizer.apply_chat_template([{"role": "user", "content": "Hello"}], tokenize=False)
    return tokenizer


def _device(options: EngineOptions) -> Any:
    """The device, which has to be there."""
    device = torch.device(_device_name(options))
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ModelUnreadable("there is no CUDA device")
    return device


def _device_name(options: EngineOptions) -> str:
    """Which device it will be, whether or not it is there yet."""
    if options.device is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.device(options.device)
    except RuntimeError:
        raise ModelUnreadable(f"device {options.device!r} is none that torch knows") from None
    return options.device


def _dtype(name: str, device: str) -> Any:
    """`auto` is the weights' own (None) on a GPU, and float32 on the CPU: exact, and at home on every processor.

    bfloat16 needs half the memory. It is faster for weights larger than the caches, where the processor has
    instructions for it, and slower elsewhere; so it is for the caller to choose.
    """
    if name == "auto":
        return torch.float32 if device == "cpu" else None
    if name not in DTYPES:
        raise ModelUnreadable(f"dtype {name!r} is none of auto, {', '.join(DTYPES)}")
    return DTYPES[name]


def _take_in(model: Any) -> None:
    """Copy what may still lie in memory-mapped files into memory of its own, one tensor at a time."""
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data = tensor.data.clone()


@torch.inference_mode()
def _try_step(model: Any, vocabulary_size: int) -> None:
    """Run the model once, so that what cannot generate fails here, or chooses among other tokens than it says."""
    token = torch.zeros((1, 1), dtype=torch.long, device=model.device)
    output = model(input_ids=token, use_cache=True, logits_to_keep=1)
    if getattr(output, "past_key_values", None) is None:
        raise ModelUnreadable(f"{type(model).__name__} keeps no key-value cache")
    if (width := output.logits.shape[-1]) != vocabulary_size:
        raise ModelUnreadable(f"logits of {width} tokens, and the configuration says {vocabulary_size}")


def _end_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    """Every token that the folder says ends an answer, wherever it says so."""
    said: list[Any] = [model.generation_config.eos_token_id, model.config.get_text_config().eos_token_id]
    said.append(tokenizer.eos_token_id)
    ids: set[int] = set()
    for value in said:
        ids.update(value if isinstance(value, list) else [] if value is None else [value])
    return frozenset(ids)
