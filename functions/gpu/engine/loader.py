"""A folder of a transformers causal language model to a LoadedModel.

Promises to read nothing but the folder: no network, no code from it, no pickled weights. Whatever is wrong
with it becomes one ModelUnreadable of one line. Nothing is written to standard output or error.
"""

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from functions.gpu.engine.detokenizer import TokenText
from functions.gpu.engine.protocol import ModelUnreadable

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
LINE = 200  # characters of a library's error message that are passed on; some list every model there is
LOCAL = {"local_files_only": True, "trust_remote_code": False}


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that has made one step already, and everything needed to talk to it."""

    model: Any
    tokenizer: Any
    vocabulary: TokenText
    vocabulary_size: int  # rows of the embedding: the token ids the model takes
    context_length: int
    end_ids: frozenset[int]
    load_seconds: dict[str, float] = field(repr=False)


def load(
    folder: Path,
    *,
    dtype: str,
    device: str | None = None,
    threads: int | None = None,
    context_length: int | None = None,
) -> LoadedModel:
    """Load a model for generation. Raises ModelUnreadable.

    `dtype` is float32, bfloat16, float16, or auto: the weights' own on a GPU, float32 on the CPU.
    `device` None is the GPU if there is one. `threads` bounds torch's threads, for the whole process.
    `context_length` lowers the model's own, and stands in for one that its configuration does not state.
    """
    _quiet()
    if threads is not None:
        torch.set_num_threads(threads)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    seconds: dict[str, float] = {}
    with _phase("config", folder, seconds):
        config = _read_config(folder)
        length = _context_length(config, context_length)
    with _phase("tokenizer", folder, seconds):
        tokenizer = _read_tokenizer(folder)
    with _phase("weights", folder, seconds):
        model = _read_weights(folder, config, _torch_dtype(dtype, device)).to(device)
    with _phase("first step", folder, seconds):
        vocabulary_size = _try_step(model)
    return LoadedModel(
        model=model,
        tokenizer=tokenizer,
        vocabulary=TokenText(tokenizer.backend_tokenizer),
        vocabulary_size=vocabulary_size,
        context_length=length,
        end_ids=_end_ids(model, tokenizer),
        load_seconds=seconds,
    )


def _quiet() -> None:
    """Our logs are JSON; a library's warnings and progress bars would break them."""
    transformers_logging.set_verbosity(transformers_logging.CRITICAL)
    transformers_logging.disable_progress_bar()


@contextmanager
def _phase(name: str, folder: Path, seconds: dict[str, float]) -> Iterator[None]:
    """Time a phase, and turn whatever goes wrong in it into one line."""
    began = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except ModelUnreadable as error:
        raise ModelUnreadable(f"{folder}: {error}") from None
    except Exception as error:
        reason = str(error).strip().partition("\n")[0][:LINE]
        raise ModelUnreadable(f"{folder}: {name}: {reason or type(error).__name__}") from error
    seconds[name] = time.perf_counter() - began


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
        raise ModelUnreadable("tokenizer: needs one with a tokenizer.json")
    tokenizer.backend_tokenizer.no_truncation()  # a prompt is refused, never cut
    tokenizer.backend_tokenizer.no_padding()
    if tokenizer.chat_template is None:
        raise ModelUnreadable("tokenizer: has no chat template")
    tokenizer.apply_chat_template([{"role": "user", "content": "Hello"}], tokenize=False)
    return tokenizer


def _torch_dtype(name: str, device: str) -> Any:
    """`auto` is float32 on the CPU: exact, and at home on every processor.

    bfloat16 needs half the memory. It is faster for weights larger than the caches, where the processor has
    instructions for it, and slower elsewhere; so it is for the caller to choose.
    """
    if name == "auto":
        return "auto" if device.startswith("cuda") else torch.float32
    if name not in DTYPES:
        raise ModelUnreadable(f"dtype {name!r} is none of auto, {', '.join(DTYPES)}")
    return DTYPES[name]


def _read_weights(folder: Path, config: Any, dtype: Any) -> Any:
    """The model, every one of whose weights came from the folder."""
    model, report = AutoModelForCausalLM.from_pretrained(
        folder,
        config=config,
        dtype=dtype,
        use_safetensors=True,
        ignore_mismatched_sizes=True,  # reported below, in a line of ours
        output_loading_info=True,
        **LOCAL,
    )
    if report["missing_keys"]:  # transformers would fill them with random numbers
        raise ModelUnreadable(f"weights: {_some(report['missing_keys'])} missing")
    if report["mismatched_keys"]:
        names = {name for name, *_ in report["mismatched_keys"]}
        raise ModelUnreadable(f"weights: {_some(names)} of another shape than the configuration says")
    return model.eval()


def _some(names: set[str]) -> str:
    """The first of some weights' names, and how many more there are."""
    first, *others = sorted(names)
    return f"{first} and {len(others)} more are" if others else f"{first} is"


@torch.inference_mode()
def _try_step(model: Any) -> int:
    """Run the model once, so that what cannot generate fails here; gives the size of its vocabulary."""
    token = torch.zeros((1, 1), dtype=torch.long, device=model.device)
    output = model(input_ids=token, use_cache=True, logits_to_keep=1)
    if getattr(output, "past_key_values", None) is None:
        raise ModelUnreadable(f"{type(model).__name__} keeps no key-value cache")
    return int(output.logits.shape[-1])


def _end_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    """Every token that the folder says ends an answer, wherever it says so."""
    said: list[Any] = [model.generation_config.eos_token_id, model.config.get_text_config().eos_token_id]
    said.append(tokenizer.eos_token_id)
    ids: set[int] = set()
    for value in said:
        ids.update(value if isinstance(value, list) else [] if value is None else [value])
    return frozenset(ids)
